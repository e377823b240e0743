//! The product: all contexts in one process, or each in its own.
//!
//! [`contexts`] lists the contexts, [`options`] defines the options of an operator, [`serve`] runs the contexts. The
//! other commands of the binary are small programs around these modules.

pub mod contexts;
pub mod data;
pub mod demo;
pub mod operate;
pub mod options;
pub mod serve;

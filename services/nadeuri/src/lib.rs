//! The product: every context in one process, or each in its own.
//!
//! [`contexts`] lists the contexts, [`options`] are what an operator can set, [`serve`] runs them; the binary's other
//! commands are small programs around those.

pub mod contexts;
pub mod data;
pub mod demo;
pub mod operate;
pub mod options;
pub mod serve;

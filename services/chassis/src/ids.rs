//! Typed ids, and the one source of new ones and of randomness.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sqlite::{Sqlite, SqliteValue};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::db::types::SqlUuid;
use crate::timestamp::Timestamp;

/// The kind of thing that an [`Id`] identifies.
pub trait Kind: 'static {
    /// For people, such as `car`.
    const NAME: &'static str;
}

/// A UUID with the type of what it identifies.
#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = SqlUuid)]
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// Gives a UUID its type.
    pub const fn new(uuid: Uuid) -> Id<K> {
        Id(uuid, PhantomData)
    }

    /// The untyped UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K: Kind> Id<K> {
    /// The id that is derived from `of`: always the same, and different for each kind.
    pub fn derived_from(of: Uuid) -> Id<K> {
        Id::new(hash(&[K::NAME.as_bytes(), of.as_bytes()]))
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Id::new)
    }
}

impl<K> ToSql<SqlUuid, Pg> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.uuid().as_bytes())?;
        Ok(IsNull::No)
    }
}
impl<K> ToSql<SqlUuid, Sqlite> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.uuid().as_bytes().to_vec());
        Ok(IsNull::No)
    }
}
impl<K> FromSql<SqlUuid, Pg> for Id<K> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Id::new(Uuid::from_slice(value.as_bytes())?))
    }
}
impl<K> FromSql<SqlUuid, Sqlite> for Id<K> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Id::new(Uuid::from_slice(value.read_blob())?))
    }
}

/// Declares the typed ids of a context, each with the name of its kind:
///
/// ```ignore
/// chassis::ids! {
///     /// The id of a car, which `fleet` gave it.
///     CarId = "car";
/// }
/// ```
#[macro_export]
macro_rules! ids {
    ($($(#[$attribute:meta])* $Id:ident = $name:literal;)+) => {
        $($(#[$attribute])* pub type $Id = $crate::Id<kinds::$Id>;)+

        /// The kinds of the ids.
        pub mod kinds {
            $(
                #[doc = concat!("The kind of the id of a ", $name, ".")]
                pub enum $Id {}
                impl $crate::ids::Kind for $Id {
                    const NAME: &'static str = $name;
                }
            )+
        }
    };
}

/// A UUID from the SHA-256 of the parts (RFC 9562, version 8). Each part is preceded by its length.
pub fn hash(parts: &[&[u8]]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Generates ids and random numbers; from a seed, always the same ones.
#[derive(Clone, Debug)]
pub struct Ids(Arc<Mutex<StdRng>>);

impl Ids {
    /// Unpredictable ids.
    pub fn system() -> Ids {
        Ids(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The ids of a simulated run.
    pub fn seeded(seed: u64) -> Ids {
        Ids(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A new UUID of version 7: later ones sort after earlier ones, to the millisecond.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        self.with(|rng| rng.fill(&mut random));
        let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A new typed id.
    pub fn mint<K>(&self, now: Timestamp) -> Id<K> {
        Id::new(self.uuid(now))
    }

    /// A number below `limit`, which must be more than 0.
    pub fn below(&self, limit: u64) -> u64 {
        self.with(|rng| rng.random_range(0..limit))
    }

    /// Unpredictable bytes, unless they come from a seed.
    pub fn secret<const COUNT: usize>(&self) -> [u8; COUNT] {
        let mut secret = [0; COUNT];
        self.with(|rng| rng.fill(&mut secret[..]));
        secret
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A panic can't happen while it is locked, so a poisoned lock is still good.
        draw(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

//! Tables, each declared once: [`table!`](crate::table) generates diesel's table, the struct of a row, and the
//! conversions between a value and its row.

use crate::clock::Timestamp;
use crate::envelope::EventId;

/// The chassis' own columns of an aggregate. A table has those of them that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// How many events led to the aggregate; 0 if it is new.
    pub version: i64,
    /// When its timer is due: [`Aggregate::due_at`](crate::Aggregate::due_at).
    pub wake_at: Option<Timestamp>,
    /// The last published event, or the one that caused the last change: the cause of what its timer does.
    pub last_event: Option<EventId>,
}

/// Declares a table.
///
/// A table of rows, to be read by diesel and written by [`insert`](crate::db::insert), [`upsert`](crate::db::upsert)
/// and [`update`](crate::db::update); its columns have the types that [`Column`](crate::db::Column) stores:
///
/// ```ignore
/// chassis::table! {
///     /// A driver who declined a drive.
///     declined (drive, driver) as DeclinedRow { drive: DriveId as SqlUuid, driver: String as Text }
/// }
/// ```
///
/// Other modules see the row of a table `as pub DeclinedRow`.
///
/// A table of aggregates, with columns of the chassis ([`Metadata`]). The braces contain the columns that are fields of
/// the same name, then those that are computed from the aggregate, then the fields that are computed from a row, whose
/// columns have the stored types. `corrupt` makes the error for a row that is no valid aggregate.
///
/// ```ignore
/// chassis::table! {
///     /// A bill.
///     bills (id) of Bill as Row with version, wake_at {
///         id: BillId as SqlUuid,
///         created_at: Timestamp as SqlTime,
///     }
///     columns |bill| {
///         amount_minor: i64 as BigInt = bill.amount.minor,
///         currency: Currency as Text = bill.amount.currency,
///         state: Name<proto::BillState> as Text = Name(bill.shown()),
///     }
///     fields |row, corrupt| {
///         amount: Money { minor: row.amount_minor, currency: row.currency },
///         state: state(&row.state).ok_or_else(|| corrupt("state"))?,
///     }
/// }
/// ```
///
/// It generates `Row::of(&bill, &metadata)`, `row.metadata()` and `row.read()`. A field that comes from another table
/// is a parameter of `read`: `fields |row, corrupt, rides: BTreeMap<RideId, Ride>| { rides: rides, … }`.
///
/// A table of parts of aggregates has `given (rider: RiderId as SqlUuid, id: RideId as SqlUuid)` in place of `with`:
/// columns that are not in the value, and are parameters of `Row::of(&ride, rider, id)`.
#[macro_export]
macro_rules! table {
    ($(#[$attribute:meta])* $table:ident ($($key:ident),+) as $vis:vis $Row:ident {
        $($column:ident: $type:ty as $sql:ty),+ $(,)?
    }) => {
        diesel::table! {
            use $crate::db::sql_types::*;
            $table ($($key),+) { $($column -> $sql,)+ }
        }
        $crate::rows! {
            $(#[$attribute])*
            $vis struct $Row in $table ($($key),+) { $($column: <$type as $crate::db::Column>::Stored),+ }
        }
    };

    ($(#[$attribute:meta])* $table:ident $key:tt of $State:ident as $Row:ident with version { $($rest:tt)* } $($more:tt)*) => {
        $crate::table! {
            @aggregate $(#[$attribute])* $table $key of $State as $Row with (version: i64 as BigInt) { $($rest)* } $($more)*
        }
    };
    (
        $(#[$attribute:meta])* $table:ident $key:tt of $State:ident as $Row:ident with version, wake_at
        { $($rest:tt)* } $($more:tt)*
    ) => {
        $crate::table! {
            @aggregate $(#[$attribute])* $table $key of $State as $Row
                with (version: i64 as BigInt, wake_at: Option<$crate::Timestamp> as Nullable<SqlTime>)
                { $($rest)* } $($more)*
        }
    };
    (
        $(#[$attribute:meta])* $table:ident $key:tt of $State:ident as $Row:ident with version, wake_at, last_event
        { $($rest:tt)* } $($more:tt)*
    ) => {
        $crate::table! {
            @aggregate $(#[$attribute])* $table $key of $State as $Row
                with (
                    version: i64 as BigInt,
                    wake_at: Option<$crate::Timestamp> as Nullable<SqlTime>,
                    last_event: Option<$crate::EventId> as Nullable<SqlUuid>
                )
                { $($rest)* } $($more)*
        }
    };
    (
        @aggregate $(#[$attribute:meta])* $table:ident ($($key:ident),+) of $State:ident as $Row:ident
            with ($($own:ident: $own_type:ty as $own_sql:ty),+)
            { $($same:ident: $same_type:ty as $same_sql:ty),* $(,)? }
        $(columns |$value:ident| { $($made:ident: $made_type:ty as $made_sql:ty = $make:expr),* $(,)? })?
        $(fields |$row:ident, $corrupt:ident $(, $part:ident: $part_type:ty)*| { $($field:ident: $read:expr),* $(,)? })?
    ) => {
        $crate::table! {
            $(#[$attribute])*
            $table ($($key),+) as $Row {
                $($own: $own_type as $own_sql,)+
                $($same: $same_type as $same_sql,)*
                $($($made: $made_type as $made_sql,)*)?
            }
        }

        impl $Row {
            /// The row of an aggregate.
            fn of(state: &$State, metadata: &$crate::db::Metadata) -> $Row {
                $(let $value = state;)?
                $Row {
                    $($own: metadata.$own,)+
                    $($same: $crate::db::Column::into_stored(state.$same.clone()),)*
                    $($($made: <$made_type as $crate::db::Column>::into_stored($make),)*)?
                }
            }

            /// The chassis' columns.
            #[allow(clippy::needless_update, reason = "a table has those of the columns that it names")]
            fn metadata(&self) -> $crate::db::Metadata {
                $crate::db::Metadata { $($own: self.$own,)+ ..$crate::db::Metadata::default() }
            }
        }
        $crate::table!(@read $table ($($key),+) $State $Row { $($same: $same_type,)* }
            $($row, $corrupt $(, $part: $part_type)*)? { $($($field: $read,)*)? });
    };

    (
        $(#[$attribute:meta])* $table:ident ($($key:ident),+) of $State:ident as $Row:ident
            given ($($given:ident: $given_type:ty as $given_sql:ty),+ $(,)?)
            { $($same:ident: $same_type:ty as $same_sql:ty),* $(,)? }
        $(columns |$value:ident| { $($made:ident: $made_type:ty as $made_sql:ty = $make:expr),* $(,)? })?
        $(fields |$row:ident, $corrupt:ident $(, $part:ident: $part_type:ty)*| { $($field:ident: $read:expr),* $(,)? })?
    ) => {
        $crate::table! {
            $(#[$attribute])*
            $table ($($key),+) as $Row {
                $($given: $given_type as $given_sql,)+
                $($same: $same_type as $same_sql,)*
                $($($made: $made_type as $made_sql,)*)?
            }
        }

        impl $Row {
            /// The row of a part of an aggregate.
            fn of(state: &$State, $($given: $given_type),+) -> $Row {
                $(let $value = state;)?
                $Row {
                    $($same: $crate::db::Column::into_stored(state.$same.clone()),)*
                    $($($made: <$made_type as $crate::db::Column>::into_stored($make),)*)?
                    $($given: $crate::db::Column::into_stored($given),)+
                }
            }
        }
        $crate::table!(@read $table ($($key),+) $State $Row { $($same: $same_type,)* }
            $($row, $corrupt $(, $part: $part_type)*)? { $($($field: $read,)*)? });
    };

    (@read $table:ident ($($key:ident),+) $State:ident $Row:ident { $($same:ident: $same_type:ty,)* }
        $($row:ident, $corrupt:ident $(, $part:ident: $part_type:ty)*)? { $($field:ident: $read:expr,)* }
    ) => {
        impl $Row {
            /// The value of the row.
            #[allow(unused_variables, reason = "a row may have nothing that can be corrupt")]
            fn read(self $($(, $part: $part_type)*)?) -> Result<$State, $crate::Error> {
                let key = ($(self.$key.clone(),)+);
                let corrupt = |what: &str| $crate::db::corrupt(stringify!($table), &key, what);
                let this = self;
                $(let ($row, $corrupt) = (this, &corrupt);)?
                $crate::table!(@state $State { $($same: $same_type,)* } corrupt this $($row)? { $($field: $read,)* })
            }
        }
    };

    // All of its fields are columns.
    (@state $State:ident $same:tt $error:ident $this:ident {}) => {
        $crate::table!(@state $State $same $error $this $this {})
    };
    (
        @state $State:ident { $($same:ident: $same_type:ty,)* } $error:ident $this:ident $row:ident
            { $($field:ident: $read:expr,)* }
    ) => {
        Ok($State {
            $($same: <$same_type as $crate::db::Column>::from_stored($row.$same)
                .ok_or_else(|| $error(stringify!($same)))?,)*
            $($field: $read,)*
        })
    };
}

/// The error for a row with an invalid value.
#[doc(hidden)]
pub fn corrupt(table: &str, key: &dyn std::fmt::Debug, what: &str) -> crate::Error {
    crate::Error::Internal(format!("{table} {key:?}: corrupt {what}"))
}

/// Declares the struct of a row of a table that diesel knows. Most tables are declared whole, by
/// [`table!`](crate::table).
#[macro_export]
macro_rules! rows {
    ($(#[$attribute:meta])* $vis:vis struct $Row:ident in $table:ident $(named $name:literal)? ($($key:ident),+) {
        $($(#[$field_attribute:meta])* $field:ident: $type:ty),+ $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, diesel::Queryable, diesel::Selectable)]
        #[diesel(table_name = $table)]
        $vis struct $Row { $($(#[$field_attribute])* $vis $field: $type),+ }

        impl $crate::db::Row for $Row {
            const TABLE: &'static str = $crate::rows!(@name $table $($name)?);
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            type Columns<'a> = ($(Vec<&'a $type>,)+);

            fn columns(rows: &[Self]) -> Self::Columns<'_> {
                ($(rows.iter().map(|row| &row.$field).collect::<Vec<_>>(),)+)
            }
            fn bind_columns<'b>(
                columns: &'b Self::Columns<'_>,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::result::QueryResult<()> {
                let ($($field,)+) = columns;
                let mut comma = "";
                $(
                    out.push_sql(comma);
                    out.push_bind_param::<diesel::sql_types::Array<diesel::dsl::SqlTypeOf<$table::$field>>, _>($field)?;
                    comma = ", ";
                )+
                let _ = comma;
                Ok(())
            }
            fn bind_fields<'b>(
                &'b self,
                named: bool,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::result::QueryResult<()> {
                let mut comma = "";
                $(
                    out.push_sql(comma);
                    if named {
                        out.push_sql(concat!(stringify!($field), " = "));
                    }
                    out.push_bind_param::<diesel::dsl::SqlTypeOf<$table::$field>, _>(&self.$field)?;
                    comma = ", ";
                )+
                let _ = comma;
                Ok(())
            }
            fn bind_key<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::result::QueryResult<()> {
                let mut and = "";
                $(
                    out.push_sql(and);
                    out.push_sql(concat!(stringify!($key), " = "));
                    out.push_bind_param::<diesel::dsl::SqlTypeOf<$table::$key>, _>(&self.$key)?;
                    and = " AND ";
                )+
                let _ = and;
                Ok(())
            }
        }
    };
    (@name $table:ident) => { stringify!($table) };
    (@name $table:ident $name:literal) => { $name };
}

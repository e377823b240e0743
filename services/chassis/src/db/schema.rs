//! The chassis's own tables, in every context's store. Two have other names in the database than here: replicas of
//! older versions, which run beside newer ones during an upgrade, use those names.

diesel::table! {
    use crate::db::sql_types::*;
    outbox (seq) {
        seq -> BigInt,
        event_id -> SqlUuid,
        kind -> Text,
        source -> Text,
        subject -> Text,
        at -> SqlTime,
        correlation_id -> SqlUuid,
        causation_id -> Nullable<SqlUuid>,
        sequence -> BigInt,
        traceparent -> Nullable<Text>,
        body -> Binary,
    }
}

diesel::table! {
    use crate::db::sql_types::*;
    #[sql_name = "done"]
    processed (key) { key -> SqlUuid, fingerprint -> SqlUuid, answer -> Binary, at -> SqlTime, }
}

diesel::table! {
    use crate::db::sql_types::*;
    #[sql_name = "dead"]
    dead_letters (event_id) {
        event_id -> SqlUuid,
        kind -> Text,
        source -> Text,
        subject -> Text,
        at -> SqlTime,
        correlation_id -> SqlUuid,
        causation_id -> Nullable<SqlUuid>,
        sequence -> BigInt,
        traceparent -> Nullable<Text>,
        body -> Binary,
        reason -> Text,
        dead_at -> SqlTime,
    }
}

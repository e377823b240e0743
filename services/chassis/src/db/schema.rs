//! The chassis's own tables, in every context's store.

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
    processed (key) { key -> SqlUuid, fingerprint -> SqlUuid, answer -> Binary, at -> SqlTime, }
}

diesel::table! {
    use crate::db::sql_types::*;
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

//! What may take longer as the data grows, and why.

/// A context, what its statements may do (a finding, or how findings begin), and why. `chassis` stands for all contexts.
pub const GROWTH: &[(&str, &str, &str)] = &[
    ("chassis", "scans outbox", "the relay empties it; only what waits is in it"),
    ("chassis", "scans dead", "an operator counts the dead letters; a context that works has none"),
    ("chassis", "empties done", "the keys of a view are removed before it is rebuilt from all events"),
    ("mypage", "empties", "a view is emptied before it is rebuilt from all events"),
    ("fleet", "scans cars", "the cars of a company do not grow with its history, and are searched by any filters"),
    ("fleet", "filters cars", "the same"),
    ("fleet", "sorts cars", "the same"),
    ("fleet", "filters engagements by end_at", "the index has only the open ones"),
    ("fleet", "scans engagements", "the same"),
    (
        "resort",
        "scans resorts",
        "the resorts of a company do not grow with its history, and are searched by any filters",
    ),
    ("resort", "filters resorts", "the same"),
    ("resort", "sorts resorts", "the same"),
    ("resort", "filters offers by end_date", "the dates that a resort offers are few spans"),
    ("resort", "scans offers", "the same"),
    ("resort", "sorts offers", "the same"),
    ("resort", "filters holds by end_date, start_date", "the index has only the open ones of a resort"),
    ("bike", "scans bikes", "a page passes over the bikes that were removed"),
    ("bike", "filters bikes by state", "the same"),
    ("bike", "filters bikes by longitude", "the nearest bikes are searched in a small box"),
    ("bike", "filters bikes by id", "the same"),
    ("bike", "sorts bikes", "the same"),
    ("notification", "filters messages by wake_at", "the removal of old ones passes over those that still wait"),
    ("notification", "sorts messages", "only as long as PostgreSQL has no statistics, and so the table is small"),
    ("driving", "filters drives by longitude", "the nearest offered drives are searched in a small box"),
    ("driving", "filters drives by id", "the same"),
    ("driving", "filters drives by customer", "the same: few of them are of the driver who searches"),
    ("driving", "sorts drives", "the same"),
    ("driving", "filters drives by overdue_at", "the index has only the drives that a driver has"),
    ("driving", "scans drives", "the same"),
];

/// A file whose statements may take as long as they do, and why.
pub const RARE: &[(&str, &str)] =
    &[("services/chassis/src/erasure.rs", "an erasure looks through all that is stored, twice for each customer")];

/// A context, a table and a column of which few rows have the same value, so that they may be sorted or filtered, and
/// why they are few.
pub const FEW: &[(&str, &str, &str, &str)] = &[
    ("chassis", "dead", "event_id", "it is the key"),
    ("notification", "messages", "flow", "a flow has a message for each of its steps"),
    ("payment", "payments", "purchase", "a purchase has one payment"),
    ("voucher", "vouchers", "stay_id", "a stay has one voucher"),
];

/// A part of the code of a statement that no journey reaches, and why none does.
pub const UNSEEN: &[(&str, &str)] = &[
    ("sql_query(TAKE)", "it takes a lock, and reads no table"),
    ("pg_logical_emit_message", "it writes to the log, and reads no table"),
    ("pg_namespace", "it reads no table of the product"),
    ("WalletRow in wallets where wallets::id.eq_any(ids); of ids", "only if a wallet is written during a check"),
    ("outbox::table.count()", "only the simulation counts"),
    ("outbox::table.order(outbox::seq).select(outbox::at)", "the same"),
];

//! The list of all contexts.

use chassis::bus::Subscription;
use chassis::{Context, StartError};

/// All contexts, in the order of the table in the README.
pub const ALL: &[Context] = &[
    fleet::CONTEXT,
    rental::CONTEXT,
    dispatch::CONTEXT,
    driving::CONTEXT,
    resort::CONTEXT,
    stay::CONTEXT,
    voucher::CONTEXT,
    bike::CONTEXT,
    ride::CONTEXT,
    billing::CONTEXT,
    upkeep::CONTEXT,
    product::CONTEXT,
    order::CONTEXT,
    delivery::CONTEXT,
    payment::CONTEXT,
    wallet::CONTEXT,
    notification::CONTEXT,
    mypage::CONTEXT,
    chronicle::CONTEXT,
];

/// The subscription of each of these contexts.
pub fn subscriptions<'a>(
    contexts: impl IntoIterator<Item = &'a Context>,
) -> Result<Vec<(&'static str, Subscription)>, StartError> {
    contexts.into_iter().map(|context| Ok((context.name, context.subscription()?))).collect()
}

/// The calls that these contexts declare, as pairs of caller and callee.
pub fn calls<'a>(
    contexts: impl IntoIterator<Item = &'a Context>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    contexts.into_iter().flat_map(|context| context.calls.iter().map(|to| (context.name, *to)))
}

/// The contexts with these names. No name, or `all`, means all contexts.
pub fn named(names: &[String]) -> Result<Vec<&'static Context>, String> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(ALL.iter().collect());
    }
    let known = || ALL.iter().map(|context| context.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        let context = ALL.iter().find(|context| context.name == name);
        context.ok_or_else(|| format!("there is no context {name:?}; there are all, {}", known()))
    };
    let mut contexts: Vec<&Context> = names.iter().map(find).collect::<Result<_, _>>()?;
    contexts.dedup_by_key(|context| context.name);
    Ok(contexts)
}

#[cfg(test)]
mod tests {
    use chassis::db::Database;
    use chassis::runtime::Runtime;
    use diesel::sql_types::{Bool, Text};

    use super::*;

    /// Columns that tell nothing about a person, by their names.
    const OTHERS: [&str; 47] = [
        "bike",
        "bike_name",
        "bill",
        "car",
        "car_model",
        "car_plate",
        "cause",
        "code",
        "currency",
        "delivery",
        "drive",
        "end_date",
        "fare_state",
        "from_place",
        "giver",
        "kind",
        "late_fee",
        "model",
        "name",
        "payment",
        "place",
        "place_name",
        "plate",
        "product",
        "product_name",
        "pseudonym",
        "reason",
        "reference",
        "refusal",
        "resort",
        "resort_name",
        "run_on",
        "seller",
        "source",
        "start_date",
        "state",
        "status",
        "subject",
        "taker",
        "then_state",
        "time_zone",
        "to_place",
        "topic",
        "traceparent",
        "version",
        "voucher",
        "voucher_code",
    ];
    /// Columns `subject` that have people. In tables of events it is an id.
    const OF_PEOPLE: [&str; 3] = ["erasures.subject", "managers.subject", "reports.subject"];

    #[derive(diesel::QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        is_text: bool,
    }

    #[tokio::test]
    async fn x16_every_column_with_a_text_is_known_to_be_personal_or_not() {
        let runtime = Runtime::real();
        let mut undecided = Vec::new();
        for context in ALL {
            let store = format!("sqlite:file:columns-{}?mode=memory&cache=shared", context.name);
            let database = Database::open(&store, context.name, &runtime).await.expect("it can be opened");
            context.migrate(&database).await.expect("it can be migrated");
            let reader = database.reader().await.expect("it is open");
            let query = "SELECT t.name || '.' || c.name AS name, lower(c.type) = 'text' AS is_text \
                         FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'";
            let columns = chassis::sql!(reader.tx(), |c| diesel::sql_query(query).load::<Column>(c));
            let columns = columns.expect("it can be read");
            let personal: Vec<String> = context.personal.iter().flat_map(chassis::Personal::columns).collect();
            for Column { name, .. } in columns.iter().filter(|column| column.is_text) {
                let last = name.split('.').next_back().expect("a name has parts");
                let is_of_thing = OTHERS.contains(&last) && !OF_PEOPLE.contains(&name.as_str());
                let is_right = personal.contains(name) != is_of_thing || name == "erasures.subject";
                undecided.extend((!is_right).then(|| format!("{}: {name}", context.name)));
            }
            for name in personal {
                assert!(columns.iter().any(|column| column.name == name), "{}: there is no {name}", context.name);
            }
        }
        assert!(undecided.is_empty(), "these tell about a person, or do not: say which: {undecided:?}");
    }
}

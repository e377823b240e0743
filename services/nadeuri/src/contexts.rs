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

//! What `build.rs` generates for secrets: fields that only their customer reads (`debug_redact`), and of these, those that
//! are encrypted in events (`sealed`).

use std::collections::BTreeSet;
use std::error::Error;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// Whether the option `debug_redact` marks the field as a secret.
pub fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool()).unwrap_or(false)
}

/// `SECRETS`, in the order of the messages.
pub fn table(messages: &[MessageDescriptor]) -> String {
    let fields = messages.iter().flat_map(MessageDescriptor::fields).filter(is_secret);
    let names: String = fields.map(|field| format!("    {:?},\n", field.full_name())).collect();
    format!("\n/// The full name of every field that holds a secret.\npub static SECRETS: &[&str] = &[\n{names}];\n")
}

/// The full names of the messages that may hold secrets: in a field, in a message within, or in an event that they
/// carry as `google.protobuf.Any`.
pub fn holders(pool: &DescriptorPool) -> BTreeSet<String> {
    with(pool, |field, holders| is_secret(field) || holds_secrets(field, holders))
}

/// The full names of our messages that have such a field. Whether a field is one may depend on the messages so far.
fn with(pool: &DescriptorPool, is_one: impl Fn(&FieldDescriptor, &BTreeSet<String>) -> bool) -> BTreeSet<String> {
    let mut holders = BTreeSet::new();
    loop {
        let holds = |message: &MessageDescriptor| {
            let ours = message.package_name().starts_with("nadeuri.");
            ours && message.fields().any(|field| is_one(&field, &holders))
        };
        let found: BTreeSet<String> =
            pool.all_messages().filter(holds).map(|message| message.full_name().to_owned()).collect();
        if found == holders {
            return holders;
        }
        holders = found;
    }
}

/// Whether the field is of a message that may hold secrets.
fn holds_secrets(field: &FieldDescriptor, holders: &BTreeSet<String>) -> bool {
    is_within(field, holders) || field.kind().as_message().is_some_and(|kind| kind.full_name() == "google.protobuf.Any")
}

/// Whether the field is of one of these messages.
fn is_within(field: &FieldDescriptor, messages: &BTreeSet<String>) -> bool {
    field.kind().as_message().is_some_and(|kind| messages.contains(kind.full_name()))
}

/// `Redact` for a message that may hold secrets. Those of its own fields are for the customer that it names.
pub fn redact(message: &MessageDescriptor, holders: &BTreeSet<String>) -> Result<String, Box<dyn Error>> {
    let (mut clear, mut unseal, mut inner) = (String::new(), String::new(), String::new());
    for field in message.fields() {
        let name = field.name();
        if is_secret(&field) {
            check_text(&field)?;
            clear += &format!("self.r#{name}.clear(); ");
            unseal += &format!("self.r#{name} = (reader.unseal)(&self.r#{name}); ");
        } else if holds_secrets(&field, holders) {
            check_place(&field)?;
            inner += &format!("self.r#{name}.iter_mut().for_each(|it| it.redact_for(reader)); ");
        }
    }
    let own = match has_customer(message) && !clear.is_empty() {
        true => format!("if self.customer_id == reader.subject {{ {unseal}}} else {{ {clear}}} "),
        false => clear,
    };
    let name = super::rust_name(message)?;
    Ok(format!(
        "\nimpl Redact for {name} {{
    fn redact_for(&mut self, reader: &Reader<'_>) {{ let _ = reader; {own}{inner}}}
}}\n"
    ))
}

/// `SEALED_EVENTS`, and `Seal` for each message with sealed fields, also in a message within.
pub fn seal(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let holders = with(pool, |field, holders| is_sealed(field) || is_within(field, holders));
    let mut code = String::new();
    let mut events = String::new();
    for message in pool.all_messages().filter(|message| holders.contains(message.full_name())) {
        let mut body = String::new();
        for field in message.fields() {
            let (name, full_name) = (field.name(), field.full_name());
            if is_sealed(&field) {
                check_text(&field)?;
                if !is_secret(&field) || !has_customer(&message) {
                    return Err(format!("{full_name}: what is sealed is a secret, of the message's customer_id").into());
                }
                body += &format!("redact::seal_field(&mut self.r#{name}, &self.customer_id, seal); ");
            } else if is_within(&field, &holders) {
                check_place(&field)?;
                body += &format!("self.r#{name}.iter_mut().for_each(|it| it.seal(seal)); ");
            }
        }
        let name = super::rust_name(&message)?;
        code += &format!(
            "\nimpl Seal for {name} {{
    fn seal(&mut self, seal: &mut dyn FnMut(&str, &str) -> String) {{ {body}}}
}}\n"
        );
        if message.parent_file().name().ends_with("/events.proto") {
            events += &format!("    ({:?}, redact::sealed::<{name}>),\n", message.full_name());
        }
    }
    Ok(format!(
        "\n/// The full name of each event with values that are sealed before it is published, and what seals them.
pub static SEALED_EVENTS: &[(&str, redact::Sealed)] = &[\n{events}];\n{code}"
    ))
}

/// Whether the option `sealed` marks the field as worth money.
fn is_sealed(field: &FieldDescriptor) -> bool {
    let option = super::extension(field.parent_pool(), &field.options(), "nadeuri.options.v1.sealed");
    option.ok().flatten().and_then(|value| value.as_bool()).unwrap_or(false)
}

/// Whether the message names the customer whose secrets it holds.
fn has_customer(message: &MessageDescriptor) -> bool {
    message.get_field_by_name("customer_id").is_some()
}

/// Rejects a secret that is no single text.
fn check_text(field: &FieldDescriptor) -> Result<(), String> {
    if field.kind() != Kind::String || field.is_list() || field.supports_presence() {
        return Err(format!("{}: a secret is a single text", field.full_name()));
    }
    Ok(())
}

/// Rejects a message with secrets at a place that is not supported.
fn check_place(field: &FieldDescriptor) -> Result<(), String> {
    if field.is_map() || field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
        return Err(format!("{}: secrets in a map or a oneof are not supported", field.full_name()));
    }
    Ok(())
}

/// The `Debug` implementation of a message with secret fields: it shows only the others.
pub fn debug(message: &MessageDescriptor) -> String {
    let module = message.package_name().trim_start_matches("nadeuri.").replace('.', "::");
    let shown = message.fields().filter(|field| !is_secret(field));
    let fields: String = shown.map(|field| format!(".field({0:?}, &self.r#{0})", field.name())).collect();
    let name = message.name();
    format!(
        "\nimpl std::fmt::Debug for {module}::{name} {{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{
        f.debug_struct({name:?}){fields}.finish_non_exhaustive()
    }}
}}\n"
    )
}

//! Compiles `proto/` to Rust, stores the descriptors for reflection, and generates tables of the options of RPCs and
//! events that the servers enforce. It also implements, for each request message, the trait that names its RPC, and for
//! each message that may hold secrets, the traits that clear and seal them (`build/secrets.rs`). The compiler is protox, so `protoc` is not needed.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
    Value,
};

#[path = "build/secrets.rs"]
mod secrets;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = proto_files(Path::new("proto"))?;

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(descriptors.as_slice())?;
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names().btree_map(["."]);
    let secret: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| message.fields().any(|field| secrets::is_secret(&field))).collect();
    config.skip_debug(secret.iter().map(|message| format!(".{}", message.full_name())));
    let holders = secrets::holders(&pool);
    let mut code = tables(&pool, &holders)? + &requests(&pool)? + &enumerations(&pool) + &secrets::table(&secret);
    for message in pool.all_messages().filter(|message| holders.contains(message.full_name())) {
        code += &secrets::redact(&message, &holders)?;
    }
    code += &secrets::seal(&pool)?;
    code.extend(secret.iter().map(secrets::debug));
    fs::write(out.join("tables.rs"), code)?;

    tonic_prost_build::configure()
        .include_file("nadeuri.rs")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    for service in pool.services().filter(|service| service.package_name().starts_with("nadeuri.")) {
        let file = out.join(format!("{}.rs", service.package_name()));
        fs::write(&file, fs::read_to_string(&file)? + &api(&service)?)?;
    }
    Ok(())
}

fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The RPCs of the contracts, in the order of the files.
fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    let services = pool.services().filter(|service| service.package_name().starts_with("nadeuri."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// `RPCS` and `EVENTS`, in the order of the files.
fn tables(pool: &DescriptorPool, holders: &BTreeSet<String>) -> Result<String, Box<dyn Error>> {
    let mut code = String::from("/// Every RPC of the contracts.\npub static RPCS: &[Rpc] = &[\n");
    for method in methods(pool) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let roles = roles(pool, &method)?;
        let idempotency = idempotency(&method);
        let is_long = extension(pool, &method.options(), "nadeuri.options.v1.long")?;
        let is_long = is_long.and_then(|value| value.as_bool()).unwrap_or(false);
        let is_stream = method.is_server_streaming();
        let package = method.parent_service().package_name().to_owned();
        let context = package.split('.').nth(1).unwrap_or_default();
        let response = method.output().full_name().to_owned();
        let has_secrets = holders.contains(&response);
        let staff = extension(pool, &method.parent_service().options(), "nadeuri.options.v1.staff")?;
        let staff = match staff.as_ref().and_then(Value::as_enum_number) {
            Some(number) => format!("Some({})", role(pool, number).ok_or_else(|| format!("{path}: no role {number}"))?),
            None => "None".to_owned(),
        };
        writeln!(
            code,
            "    Rpc {{ path: {path:?}, context: {context:?}, staff: {staff}, roles: &[{roles}], idempotency: Idempotency::{idempotency}, is_long: {is_long}, is_stream: {is_stream}, response: {response:?}, has_secrets: {has_secrets} }},"
        )?;
    }
    code.push_str("];\n\n/// Every event of the contracts.\npub static EVENTS: &[Event] = &[\n");
    for file in pool.files().filter(|file| file.name().ends_with("/events.proto")) {
        for message in file.messages() {
            let is_set = |option| -> Result<bool, Box<dyn Error>> {
                let value = extension(pool, &message.options(), option)?;
                Ok(value.and_then(|value| value.as_bool()).unwrap_or(false))
            };
            let (is_final, is_open) = (is_set("nadeuri.options.v1.final")?, is_set("nadeuri.options.v1.open")?);
            let name = message.full_name();
            let purchase = purchase(pool, &message)?;
            let redact = match holders.contains(name) {
                true => format!("Some(redact::encoded::<{}>)", rust_name(&message)?),
                false => "None".to_owned(),
            };
            writeln!(
                code,
                "    Event {{ name: {name:?}, is_final: {is_final}, is_open: {is_open}, purchase: {purchase}, redact: {redact} }},"
            )?;
        }
    }
    code.push_str("];\n");
    Ok(code)
}

/// The payment rule of an event, from its option `purchase`, with the code that reads the purchase from it.
fn purchase(pool: &DescriptorPool, event: &MessageDescriptor) -> Result<String, Box<dyn Error>> {
    let rule = extension(pool, &event.options(), "nadeuri.options.v1.purchase")?;
    let Some(rule) = rule.as_ref().and_then(Value::as_message) else { return Ok("None".to_owned()) };
    let text = |name: &str| {
        rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let action = rule.get_field_by_name("action").and_then(|value| value.as_enum_number()).unwrap_or_default();
    let actions = pool.get_enum_by_name("nadeuri.options.v1.PurchaseAction").ok_or("no enum PurchaseAction")?;
    let action = actions.get_value(action).filter(|action| action.number() != 0);
    let action = action.ok_or_else(|| format!("{}: a purchase option needs an action", event.full_name()))?;
    let action = camel(action.name().trim_start_matches("PURCHASE_ACTION_"));
    let value = |name: &str, is_needed: bool| match (text(name).as_str(), is_needed) {
        ("", false) => Ok("Default::default()".to_owned()),
        (path, _) => read(event, path).map(|field| field + ".clone()"),
    };
    let is_request = action == "Request";
    let (purchase_id, customer_id) = (value("purchase_id", true)?, value("customer_id", is_request)?);
    let amount = match (is_request, text("kept").as_str()) {
        (true, _) => format!("Some({})", value("amount", true)?),
        (false, "") => "None".to_owned(),
        // A seller that keeps nothing leaves it out.
        (false, path) => match read(event, path)?.rsplit_once(".as_ref().ok_or(") {
            Some((field, _)) => format!("{field}.clone()"),
            None => return Err(format!("{}: {path:?} is no amount", event.full_name()).into()),
        },
    };
    let seller_reference = match text("seller_reference").trim_end_matches('}').split_once('{') {
        Some((prefix, path)) => format!("{prefix:?}.to_owned() + &{}", read(event, path)?),
        None => "Default::default()".to_owned(),
    };
    let used = value("used", false)?.replace(".clone()", "");
    let event = rust_name(event)?;
    Ok(format!(
        "Some(PurchaseRule {{ action: options::v1::PurchaseAction::{action}, read: |body| {{
        let event = <{event} as prost::Message>::decode(body).map_err(|error| error.to_string())?;
        Ok(payment::v1::Purchase {{
            purchase_id: {purchase_id}, customer_id: {customer_id}, amount: {amount},
            seller_reference: {seller_reference}, used: {used},
        }})
    }} }})"
    ))
}

/// An expression for the field at a path from `event`. All messages in the path must be set.
fn read(event: &MessageDescriptor, path: &str) -> Result<String, Box<dyn Error>> {
    let (mut code, mut message) = ("event".to_owned(), Some(event.clone()));
    for name in path.split('.') {
        let field = message.and_then(|message| message.get_field_by_name(name));
        let field = field.ok_or_else(|| format!("{}: no field {path:?}", event.full_name()))?;
        code += &format!(".r#{name}");
        message = field.kind().as_message().cloned();
        if message.is_some() {
            code += &format!(".as_ref().ok_or(\"no {name}\")?");
        }
    }
    Ok(code)
}

fn roles(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<String, Box<dyn Error>> {
    let listed = extension(pool, &method.options(), "nadeuri.options.v1.roles")?;
    let numbers = listed.iter().filter_map(Value::as_list).flatten().filter_map(Value::as_enum_number);
    let names =
        numbers.map(|number| role(pool, number).ok_or_else(|| format!("{}: no role {number}", method.full_name())));
    Ok(names.collect::<Result<Vec<_>, String>>()?.join(", "))
}

/// The variant of the role with this number.
fn role(pool: &DescriptorPool, number: i32) -> Option<String> {
    let value = pool.get_enum_by_name("nadeuri.options.v1.Role")?.get_value(number)?;
    Some(format!("Role::{}", camel(value.name().trim_start_matches("ROLE_"))))
}

fn idempotency(method: &MethodDescriptor) -> &'static str {
    let options = method.options();
    let level = options.get_field_by_name("idempotency_level").and_then(|value| value.as_enum_number());
    match level {
        Some(1) => "NoSideEffects",
        Some(2) => "Idempotent",
        _ => "Unknown",
    }
}

/// The traits of `proto/request.rs`, implemented for the request of each RPC.
fn requests(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    let mut rpcs: BTreeMap<String, String> = BTreeMap::new();
    for (index, method) in methods(pool).enumerate() {
        let input = method.input();
        if let Some(other) = rpcs.insert(input.full_name().to_owned(), method.full_name().to_owned()) {
            let (message, rpc) = (input.full_name(), method.full_name());
            return Err(format!("{message} is the request of {other} and of {rpc}: give each RPC its own").into());
        }
        if method.is_client_streaming() {
            return Err(format!("{}: requests are single messages", method.full_name()).into());
        }
        let (name, response) = (rust_name(&input)?, rust_name(&method.output())?);
        let context = input.package_name().split('.').nth(1).ok_or("a package is nadeuri.CONTEXT.VERSION")?;
        let (read, set) = match input.get_field_by_name("request_id") {
            Some(_) => ("Some(&self.request_id)", "self.request_id = id;"),
            None => ("None", "let _ = id;"),
        };
        let visits = visits(&input, "self", &mut vec![input.full_name().to_owned()])?;
        let visits = if visits.is_empty() { "let _ = visit;".to_owned() } else { visits };
        let kind = if method.is_server_streaming() { "Streaming" } else { "Unary" };
        writeln!(
            code,
            "\nimpl Request for {name} {{
    type Response = {response};
    const RPC: &'static Rpc = &RPCS[{index}];
    const CONTEXT: &'static str = {context:?};
    fn request_id(&self) -> Option<&str> {{ {read} }}
    fn set_request_id(&mut self, id: String) {{ {set} }}
    fn visit_ids(&mut self, visit: &mut dyn FnMut(&mut String)) {{ {visits} }}
}}
impl {kind} for {name} {{}}"
        )?;
        code += &paged(&method)?;
    }
    Ok(code)
}

/// The trait that a context implements to serve a service, in the module of its package: typed calls in, responses or
/// errors out. Its implementations are tonic servers.
fn api(service: &ServiceDescriptor) -> Result<String, Box<dyn Error>> {
    let name = service.name();
    let api = name.trim_end_matches("Service").to_owned() + "Api";
    let server = format!("{}_server::{name}", snake(name));
    let (mut streams, mut methods, mut served_streams, mut served) =
        (String::new(), String::new(), String::new(), String::new());
    for method in service.methods() {
        let (rpc, function) = (method.name(), snake(method.name()));
        let (request, response) = (method.input().name().to_owned(), method.output().name().to_owned());
        let (response, answer) = match method.is_server_streaming() {
            true => (format!("Self::{rpc}Stream"), format!("Self::{rpc}Stream")),
            false => (response.clone(), response),
        };
        if method.is_server_streaming() {
            let item = format!("Result<{}, tonic::Status>", method.output().name());
            writeln!(
                streams,
                "    /// The stream of `{rpc}`.\n    type {rpc}Stream: tonic::codegen::tokio_stream::Stream<Item = {item}> + Send + 'static;"
            )?;
            writeln!(served_streams, "    type {rpc}Stream = T::{rpc}Stream;")?;
        }
        writeln!(
            methods,
            "    /// Handles `{rpc}`.
    fn {function}(&self, call: Self::Call, request: {request}) -> impl Future<Output = Result<{response}, Self::Error>> + Send;"
        )?;
        writeln!(
            served,
            "    async fn {function}(&self, request: tonic::Request<{request}>) -> Result<tonic::Response<{answer}>, tonic::Status> {{
        let (call, request) = <T::Call as crate::Extract>::extract(request)?;
        {api}::{function}(self, call, request).await.map(tonic::Response::new).map_err(Into::into)
    }}"
        )?;
    }
    Ok(format!(
        "
/// Serves [`{name}`]({server}): a request is passed as its message and its extracted call, an error becomes a status.
pub trait {api}: Send + Sync + 'static {{
    /// The call: the metadata of a request.
    type Call: crate::Extract;
    /// The error in place of a response.
    type Error: Into<tonic::Status>;
{streams}{methods}}}

#[tonic::async_trait]
impl<T: {api}> {server} for T {{
{served_streams}{served}}}
"
    ))
}

/// `Enumeration` for each enum of the contracts.
fn enumerations(pool: &DescriptorPool) -> String {
    let ours = pool.all_enums().filter(|kind| kind.package_name().starts_with("nadeuri."));
    ours.map(|kind| {
        let module = kind.package_name().trim_start_matches("nadeuri.").replace('.', "::");
        let (name, prefix) = (kind.name(), snake(kind.name()).to_uppercase() + "_");
        format!(
            "\nimpl Enumeration for {module}::{name} {{
    const PREFIX: &'static str = {prefix:?};
    fn name(&self) -> &'static str {{ self.as_str_name() }}
    fn from_name(name: &str) -> Option<Self> {{ Self::from_str_name(name) }}
}}\n"
        )
    })
    .collect()
}

/// `Paged`, if the request has a `page_token`.
fn paged(method: &MethodDescriptor) -> Result<String, Box<dyn Error>> {
    let (request, response) = (method.input(), method.output());
    if request.get_field_by_name("page_token").is_none() {
        return Ok(String::new());
    }
    let mut items = response.fields().filter(FieldDescriptor::is_list);
    let (Some(field), None) = (items.next(), items.next()) else {
        return Err(format!("{}: a page has one repeated field", response.full_name()).into());
    };
    let Kind::Message(item) = field.kind() else {
        return Err(format!("{}: a page is of messages", response.full_name()).into());
    };
    let (name, item, field) = (rust_name(&request)?, rust_name(&item)?, field.name().to_owned());
    Ok(format!(
        "impl Paged for {name} {{
    type Item = {item};
    fn set_page_size(&mut self, size: i32) {{ self.page_size = size; }}
    fn set_page_token(&mut self, token: String) {{ self.page_token = token; }}
    fn page(response: Self::Response) -> (Vec<Self::Item>, String) {{ (response.r#{field}, response.next_page_token) }}
}}\n"
    ))
}

/// Statements that call `visit` with the ids in `message`, which is the value of the expression `place`. `path` has the
/// enclosing messages, from the request on.
fn visits(message: &MessageDescriptor, place: &str, path: &mut Vec<String>) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for field in message.fields() {
        let (name, full_name) = (field.name(), field.full_name());
        let loop_or_if = |body: &str| {
            if field.is_list() {
                format!("for inner in &mut {place}.r#{name} {{ {body} }}")
            } else {
                format!("if let Some(inner) = &mut {place}.r#{name} {{ {body} }}")
            }
        };
        let is_id = name == "id" || name.ends_with("_id") || name.ends_with("_ids");
        let is_in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        match field.kind() {
            _ if field.is_map() || is_in_oneof => return Err(format!("{full_name}: not supported in requests").into()),
            Kind::String if is_id && name != "request_id" => {
                code += &match field.is_list() || field.supports_presence() {
                    true => loop_or_if("visit(inner);"),
                    false => format!("visit(&mut {place}.r#{name});"),
                };
            }
            Kind::Message(inner) if inner.package_name().starts_with("nadeuri.") => {
                if path.iter().any(|above| above == inner.full_name()) {
                    return Err(format!("{full_name}: recursive messages are not supported in requests").into());
                }
                path.push(inner.full_name().to_owned());
                let body = visits(&inner, "inner", path)?;
                path.pop();
                if !body.is_empty() {
                    code += &loop_or_if(&body);
                }
            }
            _ => {}
        }
    }
    Ok(code)
}

/// The Rust type of a message of these contracts.
fn rust_name(message: &MessageDescriptor) -> Result<String, Box<dyn Error>> {
    let is_ours = message.package_name().starts_with("nadeuri.") && message.parent_message().is_none();
    if !is_ours {
        return Err(format!("{}: requests, responses and items are messages of ours", message.full_name()).into());
    }
    let module = message.package_name().trim_start_matches("nadeuri.").replace('.', "::");
    Ok(format!("{module}::{}", message.name()))
}

/// The value of a custom option, if it is set.
fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Result<Option<Value>, Box<dyn Error>> {
    let extension = pool.get_extension_by_name(name).ok_or_else(|| format!("no option {name}"))?;
    Ok(options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned()))
}

fn snake(camel: &str) -> String {
    let mut text = String::new();
    for (index, letter) in camel.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn camel(upper_snake: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    upper_snake.split('_').map(word).collect()
}

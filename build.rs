//! Compiles `proto/` to Rust, keeps its descriptors for reflection, turns the options of its RPCs and events into tables
//! that the servers enforce, and tells each request message which RPC it is sent to. protox is the compiler, so no
//! `protoc` is needed on the machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};

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
        pool.all_messages().filter(|message| message.fields().any(is_secret)).collect();
    config.skip_debug(secret.iter().map(|message| format!(".{}", message.full_name())));
    let code = tables(&pool)? + &requests(&pool)? + &secret.iter().map(debug).collect::<String>();
    fs::write(out.join("tables.rs"), code)?;

    tonic_prost_build::configure()
        .include_file("nadeuri.rs")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
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
fn tables(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::from("/// Every RPC of the contracts.\npub static RPCS: &[Rpc] = &[\n");
    for method in methods(pool) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let roles = roles(pool, &method)?;
        let idempotency = idempotency(&method);
        let is_long = extension(pool, &method.options(), "nadeuri.options.v1.long")?;
        let is_long = is_long.and_then(|value| value.as_bool()).unwrap_or(false);
        let response = method.output().full_name().to_owned();
        writeln!(
            code,
            "    Rpc {{ path: {path:?}, roles: &[{roles}], idempotency: Idempotency::{idempotency}, is_long: {is_long}, response: {response:?} }},"
        )?;
    }
    code.push_str("];\n\n/// Every event of the contracts.\npub static EVENTS: &[Event] = &[\n");
    for file in pool.files().filter(|file| file.name().ends_with("/events.proto")) {
        for message in file.messages() {
            let is_final =
                extension(pool, &message.options(), "nadeuri.options.v1.final")?.and_then(|value| value.as_bool());
            writeln!(
                code,
                "    Event {{ name: {:?}, is_final: {} }},",
                message.full_name(),
                is_final.unwrap_or(false)
            )?;
        }
    }
    code.push_str("];\n");
    Ok(code)
}

fn roles(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<String, Box<dyn Error>> {
    let listed = extension(pool, &method.options(), "nadeuri.options.v1.roles")?;
    let numbers = listed.iter().filter_map(Value::as_list).flatten().filter_map(Value::as_enum_number);
    let role = pool.get_enum_by_name("nadeuri.options.v1.Role").ok_or("no enum Role")?;
    let names = numbers.map(|number| {
        let value = role.get_value(number).ok_or_else(|| format!("{}: no role {number}", method.full_name()))?;
        Ok(format!("Role::{}", camel(value.name().trim_start_matches("ROLE_"))))
    });
    Ok(names.collect::<Result<Vec<_>, String>>()?.join(", "))
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

/// Statements that call `visit` with the ids in `message`, which is the value of the expression `place`. `path` are the
/// messages on the way to it, from the request on.
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
            _ if field.is_map() || is_in_oneof => return Err(format!("{full_name}: not known in requests").into()),
            Kind::String if is_id && name != "request_id" => {
                code += &match field.is_list() || field.supports_presence() {
                    true => loop_or_if("visit(inner);"),
                    false => format!("visit(&mut {place}.r#{name});"),
                };
            }
            Kind::Message(inner) if inner.package_name().starts_with("nadeuri.") => {
                if path.iter().any(|above| above == inner.full_name()) {
                    return Err(format!("{full_name}: a message within itself is not known in requests").into());
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

/// The Rust type of a message of ours.
fn rust_name(message: &MessageDescriptor) -> Result<String, Box<dyn Error>> {
    let is_ours = message.package_name().starts_with("nadeuri.") && message.parent_message().is_none();
    if !is_ours {
        return Err(format!("{}: requests, responses and items are messages of ours", message.full_name()).into());
    }
    let module = message.package_name().trim_start_matches("nadeuri.").replace('.', "::");
    Ok(format!("{module}::{}", message.name()))
}

/// The value of an option of ours, if it is set.
fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Result<Option<Value>, Box<dyn Error>> {
    let extension = pool.get_extension_by_name(name).ok_or_else(|| format!("no option {name}"))?;
    Ok(options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned()))
}

/// Whether the contract says that a field is not to be shown where messages are printed for people who debug.
fn is_secret(field: FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool()).unwrap_or(false)
}

/// The `Debug` of a message with secret fields, which shows the others.
fn debug(message: &MessageDescriptor) -> String {
    let module = message.package_name().trim_start_matches("nadeuri.").replace('.', "::");
    let shown = message.fields().filter(|field| !is_secret(field.clone()));
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

fn camel(upper_snake: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    upper_snake.split('_').map(word).collect()
}

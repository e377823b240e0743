//! Compiles `proto/` to Rust, keeps its descriptors for reflection, and turns the options of its RPCs and events into
//! tables that the servers enforce. protox is the compiler, so no `protoc` is needed on the machine.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};

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
    fs::write(out.join("tables.rs"), tables(&pool)? + &secret.iter().map(debug).collect::<String>())?;

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

/// `RPCS` and `EVENTS`, in the order of the files.
fn tables(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::from("/// Every RPC of the contracts.\npub static RPCS: &[Rpc] = &[\n");
    for service in pool.services().filter(|service| service.package_name().starts_with("nadeuri.")) {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
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

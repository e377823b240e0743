//! The model of the contracts for the documents: the content of the descriptors, each item with its comment.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// All contracts.
pub struct Contracts {
    /// By their short names, `rental` for `nadeuri.rental.v1`.
    pub packages: BTreeMap<String, Package>,
}

/// A package: of a context, of operations, or of types that all share.
#[derive(Default)]
pub struct Package {
    /// `nadeuri.rental.v1`.
    pub full_name: String,
    /// The comment of its service.
    pub about: Comment,
    /// In the order of the file.
    pub rpcs: Vec<Rpc>,
    /// The events that it publishes.
    pub events: Vec<Message>,
    /// The other messages.
    pub messages: Vec<Message>,
    /// Its enums.
    pub enums: Vec<Enum>,
}

/// The paragraphs of a comment.
#[derive(Clone, Default)]
pub struct Comment(pub Vec<String>);

/// One RPC.
pub struct Rpc {
    /// `ReserveCar`.
    pub name: String,
    pub comment: Comment,
    /// The full name of the request.
    pub input: String,
    /// The full name of the response.
    pub output: String,
    /// Whether the response is a stream.
    pub is_stream: bool,
    /// Its options.
    pub options: &'static contracts::Rpc,
}

/// One message.
pub struct Message {
    /// `CarReserved`.
    pub name: String,
    pub comment: Comment,
    pub fields: Vec<Field>,
}

/// One field of a message.
pub struct Field {
    pub name: String,
    /// The name in JSON.
    pub json_name: String,
    pub number: i32,
    pub comment: Comment,
    pub kind: Kind,
    pub is_repeated: bool,
    /// Whether it has presence (`optional`).
    pub is_optional: bool,
    /// Whether only its customer reads it (`debug_redact`).
    pub is_secret: bool,
}

/// What a field holds.
pub enum Kind {
    /// `string`, `int64` and the like.
    Scalar(&'static str),
    /// The full name of a message.
    Message(String),
    /// The full name of an enum.
    Enum(String),
}

/// One enum.
pub struct Enum {
    pub name: String,
    pub comment: Comment,
    /// Their full names, numbers and comments.
    pub values: Vec<(String, i32, Comment)>,
}

impl Comment {
    /// In one line.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }

    /// The words in backticks.
    pub fn quoted(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
    }
}

impl Contracts {
    /// Reads the contracts of this build.
    pub fn read() -> Contracts {
        let set = FileDescriptorSet::decode(contracts::DESCRIPTORS).expect("the contracts are descriptors");
        let mut packages = BTreeMap::<String, Package>::new();
        for file in set.file.iter().filter(|file| file.package().starts_with("nadeuri.")) {
            let package = packages.entry(short(file.package()).to_owned()).or_default();
            package.full_name = file.package().to_owned();
            package.add(file);
        }
        Contracts { packages }
    }

    /// The package that holds this full name, and the rest of the name.
    pub fn place<'a>(&'a self, full_name: &'a str) -> Option<(&'a str, &'a Package, &'a str)> {
        let (package, name) = full_name.rsplit_once('.')?;
        let (short, found) = self.packages.get_key_value(short(package))?;
        (found.full_name == package).then_some((short, found, name))
    }

    /// The short names of all enum values, as comments use them: `RESERVED` for `RESERVATION_STATE_RESERVED`.
    pub fn enum_values(&self) -> BTreeSet<String> {
        let enums = self.packages.values().flat_map(|package| &package.enums);
        enums.flat_map(|each| each.values.iter().map(|(value, ..)| each.short(value).to_owned())).collect()
    }
}

/// `rental` of `nadeuri.rental.v1`.
fn short(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or_default()
}

impl Package {
    fn add(&mut self, file: &FileDescriptorProto) {
        let comments = Comments::new(file);
        let message = |(index, message)| comments.message(index, file.package(), message);
        let messages = (0..).zip(&file.message_type).map(message);
        if file.name().ends_with("/events.proto") { &mut self.events } else { &mut self.messages }.extend(messages);
        self.enums.extend((0..).zip(&file.enum_type).map(|(index, each)| comments.enumeration(index, each)));
        for (index, service) in (0..).zip(&file.service) {
            self.about = comments.at(&[6, index]);
            for (number, method) in (0..).zip(&service.method) {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                self.rpcs.push(Rpc {
                    name: method.name().to_owned(),
                    comment: comments.at(&[6, index, 2, number]),
                    input: method.input_type().trim_start_matches('.').to_owned(),
                    output: method.output_type().trim_start_matches('.').to_owned(),
                    is_stream: method.server_streaming(),
                    options: contracts::RPCS.iter().find(|rpc| rpc.path == path).expect("RPCS has every RPC"),
                });
            }
        }
    }

    /// The message with this name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.events.iter().chain(&self.messages).find(|message| message.name == name)
    }

    /// Whether its page has a heading with this name.
    pub fn has(&self, name: &str) -> bool {
        let is_enum = self.enums.iter().any(|each| each.name == name);
        is_enum || self.message(name).is_some() || self.rpcs.iter().any(|rpc| rpc.name == name)
    }
}

impl Enum {
    /// `RESERVED` of `RESERVATION_STATE_RESERVED`.
    pub fn short<'a>(&self, value: &'a str) -> &'a str {
        let mut prefix = String::new();
        for letter in self.name.chars() {
            if letter.is_uppercase() && !prefix.is_empty() {
                prefix.push('_');
            }
            prefix.push(letter.to_ascii_uppercase());
        }
        value.strip_prefix(&(prefix + "_")).unwrap_or(value)
    }
}

/// The comments of a file, by the path of the commented item.
struct Comments<'a>(BTreeMap<&'a [i32], &'a str>);

impl<'a> Comments<'a> {
    fn new(file: &'a FileDescriptorProto) -> Comments<'a> {
        let info = file.source_code_info.as_ref().expect("the descriptors keep the comments");
        Comments(info.location.iter().map(|location| (&*location.path, location.leading_comments())).collect())
    }

    fn at(&self, place: &[i32]) -> Comment {
        let text = self.0.get(place).copied().unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let paragraphs = lines.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty());
        Comment(paragraphs.map(|paragraph| paragraph.join(" ")).collect())
    }

    fn message(&self, index: i32, package: &str, message: &DescriptorProto) -> Message {
        let nothing_new = message.nested_type.is_empty() && message.enum_type.is_empty();
        assert!(nothing_new, "{} has nested types, which the documents do not support", message.name());
        let secret = |field: &str| contracts::SECRETS.contains(&&*format!("{package}.{}.{field}", message.name()));
        let field = |(number, field): (i32, &FieldDescriptorProto)| {
            let is_secret = secret(field.name());
            Field { is_secret, ..self.field(&[4, index, 2, number], field) }
        };
        let fields = (0..).zip(&message.field).map(field);
        Message { name: message.name().to_owned(), comment: self.at(&[4, index]), fields: fields.collect() }
    }

    fn field(&self, place: &[i32], field: &FieldDescriptorProto) -> Field {
        let is_optional = field.proto3_optional();
        assert!(field.oneof_index.is_none() || is_optional, "the documents do not support {}", field.name());
        let name = || field.type_name().trim_start_matches('.').to_owned();
        let kind = match field.r#type() {
            Type::Message => Kind::Message(name()),
            Type::Enum => Kind::Enum(name()),
            Type::String => Kind::Scalar("string"),
            Type::Bool => Kind::Scalar("bool"),
            Type::Double => Kind::Scalar("double"),
            Type::Int32 => Kind::Scalar("int32"),
            Type::Int64 => Kind::Scalar("int64"),
            Type::Bytes => Kind::Scalar("bytes"),
            other => panic!("the documents do not support {} of {}", other.as_str_name(), field.name()),
        };
        Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            comment: self.at(place),
            kind,
            is_repeated: field.label() == Label::Repeated,
            is_optional,
            is_secret: false,
        }
    }

    fn enumeration(&self, index: i32, each: &EnumDescriptorProto) -> Enum {
        let value = |(number, value): (i32, &prost_types::EnumValueDescriptorProto)| {
            (value.name().to_owned(), value.number(), self.at(&[5, index, 2, number]))
        };
        let values = (0..).zip(&each.value).map(value).collect();
        Enum { name: each.name().to_owned(), comment: self.at(&[5, index]), values }
    }
}

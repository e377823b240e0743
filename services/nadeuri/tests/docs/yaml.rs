//! A minimal YAML writer: ordered maps, lists and strings.

/// A value.
#[derive(Clone)]
pub enum Yaml {
    /// A string, always quoted.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Yaml>),
    /// A map, written in this order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A text.
    pub fn text(text: impl Into<String>) -> Yaml {
        Yaml::Text(text.into())
    }

    /// A map of these.
    pub fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
        Yaml::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A reference to something in the same document.
    pub fn reference(path: String) -> Yaml {
        Yaml::map([("$ref", Yaml::text(format!("#/{path}")))])
    }

    /// With one more entry.
    pub fn with(mut self, key: &str, value: Yaml) -> Yaml {
        if let Yaml::Map(entries) = &mut self {
            entries.push((key.to_owned(), value));
        }
        self
    }

    /// The document.
    pub fn document(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.trim_start().to_owned()
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        match self {
            Yaml::Text(text) => *out += &format!(" {}\n", quoted(text)),
            Yaml::Number(number) => *out += &format!(" {number}\n"),
            Yaml::Bool(yes) => *out += &format!(" {yes}\n"),
            Yaml::List(items) if items.is_empty() => *out += " []\n",
            Yaml::Map(entries) if entries.is_empty() => *out += " {}\n",
            Yaml::List(items) => {
                out.push('\n');
                for item in items {
                    *out += &format!("{indent}-");
                    let mut text = String::new();
                    item.write(&mut text, depth + 1);
                    // The first entry of a map is on the line of the dash.
                    let text = text.strip_prefix('\n').map(|rest| format!(" {}", rest.trim_start())).unwrap_or(text);
                    *out += &text;
                }
            }
            Yaml::Map(entries) => {
                out.push('\n');
                for (key, value) in entries {
                    let is_plain = key.starts_with(char::is_alphabetic)
                        && key.chars().all(|letter| letter.is_alphanumeric() || "._-".contains(letter));
                    let key = if is_plain { key.clone() } else { quoted(key) };
                    *out += &format!("{indent}{key}:");
                    value.write(out, depth + 1);
                }
            }
        }
    }
}

/// A string in double quotes, escaped as in JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

//! Four sources become one text per setting; every mistake on the way is collected, so that an
//! operator hears of all of them at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write};
use std::fs;

use super::parse::Parsed;
use super::table::{self, DefaultText, SETTINGS, Setting, Shown};
use super::{Mode, Secret, url};

/// What the command line says: the text of each flag under its setting's name.
///
/// Kept as [`Secret`]s, for any of them may be one.
#[derive(Debug, Clone, Default)]
pub struct Overrides(BTreeMap<&'static str, Secret>);

impl FromIterator<(&'static str, String)> for Overrides {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(flags: I) -> Self {
        Self(
            flags
                .into_iter()
                .map(|(name, text)| (name, Secret::new(text)))
                .collect(),
        )
    }
}

/// Where the text of a setting comes from, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    File,
    Environment,
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

/// Everything wrong with the configuration: its text has one line for each mistake.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(Vec<String>);

/// The sources, and what reading them has brought to light so far.
pub(super) struct Values<'a> {
    flags: &'a Overrides,
    env: &'a dyn Fn(&str) -> Option<OsString>,
    file: BTreeMap<String, Parsed<String>>,
    file_path: Option<String>,
    /// Decides between defaults; development until somebody has read it.
    pub(super) mode: Mode,
    found: BTreeMap<&'static str, (String, Origin)>,
    mistakes: Vec<String>,
    file_unread: bool,
}

impl<'a> Values<'a> {
    /// Opens the sources: names the mistakes of the file as a whole, reads no setting but its path.
    pub(super) fn open(flags: &'a Overrides, env: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let mut values = Self {
            flags,
            env,
            file: BTreeMap::new(),
            file_path: None,
            mode: Mode::Development,
            found: BTreeMap::new(),
            mistakes: Vec::new(),
            file_unread: false,
        };
        values.file_path = values.optional(&table::CONFIG, |path| Ok(path.to_owned()));
        if let Some(path) = values.file_path.clone() {
            match read_file(&path) {
                Ok(keys) => values.take_keys(keys),
                Err(problem) => {
                    values.file_unread = true;
                    values.refuse(&table::CONFIG, &problem);
                }
            }
        }
        values
    }

    /// A setting that may stay unset.
    pub(super) fn optional<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        let text = self.find(setting)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(setting, &quote(setting, &text, &problem));
                None
            }
        }
    }

    /// A setting with a default; after a mistake the default too, so that reading can go on.
    pub(super) fn required<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> T {
        if let Some(value) = self.optional(setting, &parse) {
            return value;
        }
        let default = self
            .default_text(setting)
            .expect("a required setting has a default");
        let value = parse(&default).expect("a default is valid");
        self.found
            .entry(setting.name)
            .or_insert((default, Origin::Default));
        value
    }

    /// A setting of several values between commas; each of them can be a mistake of its own.
    pub(super) fn list<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Vec<T> {
        let text = self.find(setting).unwrap_or_default();
        let mut values = Vec::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match parse(item) {
                Ok(value) => values.push(value),
                Err(problem) => self.refuse(setting, &quote(setting, item, &problem)),
            }
        }
        values
    }

    /// Records a mistake about a setting that has been read.
    pub(super) fn refuse(&mut self, setting: &Setting, problem: &str) {
        let source = match self
            .found
            .get(setting.name)
            .map_or(Origin::Default, |(_, origin)| *origin)
        {
            Origin::Flag => format!("flag --{}", setting.flag()),
            Origin::File => self.file_source(),
            origin @ (Origin::Environment | Origin::Default) => origin.to_string(),
        };
        let Setting { name, expects, .. } = setting;
        self.mistakes.push(format!(
            "{name} (from: {source}): {problem}; expected {expects}"
        ));
    }

    /// Whether somebody set it, wrongly perhaps, or may have in a file that could not be read:
    /// then to call it missing would be a second complaint about one mistake.
    pub(super) fn may_be_set(&self, setting: &Setting) -> bool {
        self.file_unread || self.found.contains_key(setting.name)
    }

    /// The effective settings for an operator, one a line; or all mistakes.
    pub(super) fn finish(self) -> Result<String, ConfigErrors> {
        if !self.mistakes.is_empty() {
            return Err(ConfigErrors(self.mistakes));
        }
        let mut lines = String::new();
        for setting in SETTINGS {
            let (shown, origin) = match self.found.get(setting.name) {
                Some((text, origin)) => (show(setting, text), *origin),
                None => (unset(setting), Origin::Default),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{} = {shown}  (from: {origin})", setting.name);
        }
        Ok(lines)
    }

    /// The text of the strongest source: flag, environment, file. An empty variable counts as
    /// unset, because compose files and launchers write `NAME=` for "nothing".
    fn find(&mut self, setting: &Setting) -> Option<String> {
        let (text, origin) = if let Some(text) = self.flags.0.get(setting.name) {
            (Ok(text.expose().to_owned()), Origin::Flag)
        } else if let Some(raw) = (self.env)(setting.name).filter(|raw| !raw.is_empty()) {
            (
                raw.into_string()
                    .map_err(|_| "the value is not valid UTF-8".into()),
                Origin::Environment,
            )
        } else {
            (self.file.get(&setting.key())?.clone(), Origin::File)
        };
        self.found
            .insert(setting.name, (text.clone().unwrap_or_default(), origin));
        text.map_err(|problem| self.refuse(setting, &problem)).ok()
    }

    fn default_text(&self, setting: &Setting) -> Option<String> {
        let text = setting.default.in_mode(self.mode)?;
        let data_dir = self
            .found
            .get(table::DATA_DIR.name)
            .map_or("", |(path, _)| path);
        Some(text.replace("{DATA_DIR}", &url::path_in_url(data_dir)))
    }

    fn take_keys(&mut self, keys: toml::Table) {
        for (key, value) in keys {
            if SETTINGS
                .iter()
                .any(|setting| setting.in_file() && setting.key() == key)
            {
                self.file.insert(key, file_text(value));
            } else {
                let source = self.file_source();
                let advice = match nearest(&key) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "expected a setting's name in lower case".to_owned(),
                };
                self.mistakes.push(format!(
                    "{} (from: {source}): unknown key; {advice}",
                    key.escape_debug()
                ));
            }
        }
    }

    fn file_source(&self) -> String {
        format!(
            "file {}",
            self.file_path.as_deref().unwrap_or_default().escape_debug()
        )
    }
}

fn read_file(path: &str) -> Result<toml::Table, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("{path:?} cannot be read: {error}"))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The error's own text would quote the line, and the line may hold a secret.
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!(
            "{path:?} is not TOML: line {line}: {}",
            error.message().replace('\n', " ")
        )
    })
}

/// A file may say `port = 4000`, `playground = true` and `allowed_origins = ["…", "…"]`.
fn file_text(value: toml::Value) -> Parsed<String> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(true) => Ok("on".to_owned()),
        toml::Value::Boolean(false) => Ok("off".to_owned()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Ok(texts
                .ok_or("the value is a list of other things than texts")?
                .join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
            Err("the value is no text, whole number, true or false".into())
        }
    }
}

/// The value, if it may be shown, and what is wrong with it.
fn quote(setting: &Setting, text: &str, problem: &str) -> String {
    match setting.shown {
        Shown::Plain => format!("{text:?} {problem}"),
        // A malformed URL hides its password nowhere in particular: show none of it.
        Shown::Url | Shown::Secret => format!("the value {problem}"),
    }
}

fn show(setting: &Setting, text: &str) -> String {
    match setting.shown {
        Shown::Plain => text.escape_debug().to_string(),
        Shown::Url => url::without_credentials(text),
        Shown::Secret => "set".to_owned(),
    }
}

fn unset(setting: &Setting) -> String {
    match setting.default {
        DefaultText::Unset(meaning) => format!("not set ({meaning})"),
        DefaultText::Always(_) | DefaultText::ByMode { .. } => "not set".to_owned(),
    }
}

/// The key that somebody who wrote `written` may have meant.
fn nearest(written: &str) -> Option<String> {
    let written = written.to_ascii_lowercase().replace('-', "_");
    let keys = SETTINGS
        .iter()
        .filter(|setting| setting.in_file())
        .map(|setting| setting.key());
    let (distance, key) = keys.map(|key| (edits(&written, &key), key)).min()?;
    (distance <= key.len().div_ceil(4)).then_some(key)
}

/// How many letters to add, drop or change between two words (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != b))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("jwt_secert", "jwt_secret"), 2);
        assert_eq!(edits("", "port"), 4);
        assert_eq!(edits("port", "port"), 0);
    }

    #[test]
    fn a_misspelt_key_has_a_neighbour_and_a_foreign_one_has_none() {
        assert_eq!(nearest("JWT-SECERT").as_deref(), Some("jwt_secret"));
        assert_eq!(
            nearest("prot").as_deref(),
            None,
            "two edits in four letters are another word"
        );
        assert_eq!(nearest("ports").as_deref(), Some("port"));
        assert_eq!(nearest("turn_secret_key").as_deref(), None);
    }

    #[test]
    fn overrides_are_not_shown_by_debug() {
        let flags: Overrides = [("JWT_SECRET", "hunter2".to_owned())].into_iter().collect();
        assert!(!format!("{flags:?}").contains("hunter2"));
    }
}

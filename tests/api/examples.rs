//! The playground's examples work, in order, as its README says.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::{App, on_both};

/// One example, its header read.
struct Example {
    file: String,
    query: String,
    directives: Vec<(String, String)>,
}

impl Example {
    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.directives
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/examples");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("there are examples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let query = std::fs::read_to_string(&path).expect("a text");
        let header = query.lines().map_while(|line| line.strip_prefix('#'));
        let directives = header.filter_map(|line| {
            let (key, value) = line.trim().split_once(':')?;
            let known = ["Title", "as", "variables", "save", "signs-in", "take"];
            known
                .contains(&key)
                .then(|| (key.to_owned(), value.trim().to_owned()))
        });
        let file = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        Example {
            directives: directives.collect(),
            file,
            query: query.clone(),
        }
    };
    files.into_iter().map(read).collect()
}

/// Puts saved values in the place of `{{name}}`.
fn fill(value: &mut Value, saved: &HashMap<String, Value>) {
    match value {
        Value::String(text) => {
            let whole = text
                .strip_prefix("{{")
                .and_then(|rest| rest.strip_suffix("}}"));
            if let Some(found) = whole.and_then(|name| saved.get(name)) {
                *value = found.clone();
                return;
            }
            for (name, found) in saved {
                if let Some(found) = found.as_str() {
                    *text = text.replace(&format!("{{{{{name}}}}}"), found);
                }
            }
            assert!(!text.contains("{{"), "nothing was saved for {text}");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, saved)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, saved)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn at<'a>(data: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(data, |value, key| match key.parse::<usize>() {
            Ok(index) => &value[index],
            Err(_) => &value[key],
        })
}

async fn run(app: &App, example: &Example, token: Option<&str>, variables: &Value) -> Vec<Value> {
    let Some(take) = example.get("take") else {
        let body = json!({ "query": example.query, "variables": variables });
        let answer = app
            .http()
            .post(&app.url("/graphql"), token, &body)
            .await
            .json();
        assert_eq!(answer["errors"], Value::Null, "{}", example.file);
        return vec![answer["data"].clone()];
    };
    let mut socket = Socket::open(&app.url("/graphql"), token).await;
    socket.subscribe("1", &example.query, variables).await;
    if take == "0" {
        // It is up, and nothing is wrong with it, if the next answer is another's.
        socket.subscribe("2", "{ __typename }", &json!({})).await;
        let message = socket.next().await.expect("an answer");
        assert_eq!(message["id"], "2", "{}: {message}", example.file);
    }
    let mut events = Vec::new();
    for _ in 0..take.parse().expect("a number") {
        let message = socket.next().await.expect("an event");
        assert_eq!(message["type"], "next", "{}: {message}", example.file);
        assert_eq!(
            message["payload"]["errors"],
            Value::Null,
            "{}",
            example.file
        );
        events.push(message["payload"]["data"].clone());
    }
    events
}

on_both! {
    async fn every_example_of_the_playground_works(app) {
        let mut saved = HashMap::from([("run".to_owned(), json!("test"))]);
        let mut tokens: HashMap<String, String> = HashMap::new();
        let examples = examples();
        assert!(examples.len() >= 10, "only {} examples", examples.len());
        for example in &examples {
            assert!(example.get("Title").is_some(), "{} has a title", example.file);
            let mut variables: Value = example
                .get("variables")
                .map_or(json!({}), |text| serde_json::from_str(text).expect("JSON"));
            fill(&mut variables, &saved);
            let token = example.get("as").map(|name| tokens[name].as_str());
            for data in run(app, example, token, &variables).await {
                let root = data.as_object().and_then(|root| root.values().next()).expect("a field");
                if let Some(name) = example.get("signs-in") {
                    let token = root["accessToken"].as_str().expect("a token");
                    tokens.insert(name.to_owned(), token.to_owned());
                }
                for rule in example.all("save") {
                    let (name, path) = rule.split_once('=').expect("name = path");
                    let value = at(&data, path.trim());
                    assert!(!value.is_null(), "{} finds nothing at {path}", example.file);
                    saved.insert(name.trim().to_owned(), value.clone());
                }
            }
        }
    }
}

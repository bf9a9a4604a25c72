//! Who may do what: each act, attempted by everybody in a conversation of each kind, through the door.
//! What the system answers is the table in `docs/permissions.md`.
//!
//! `WRITE_PERMISSIONS=1` writes the table there instead of comparing it.

mod acts;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::harness::{App, Person, Room, on_both};

use self::acts::ACTS;

const BEGIN: &str = "<!-- permissions: begin -->";
const END: &str = "<!-- permissions: end -->";
const KINDS: [&str; 4] = ["DIRECT", "GROUP", "CHANNEL", "ROOM"];

/// Who attempts something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    Admin,
    Member,
    Nobody,
    Banned,
}

const EVERYBODY: [(Who, &str); 5] = [
    (Who::Owner, "OWNER"),
    (Who::Admin, "ADMIN"),
    (Who::Member, "MEMBER"),
    (Who::Nobody, "no member"),
    (Who::Banned, "banned"),
];

/// Those who are in every conversation, and some who are not.
struct Cast {
    owner: Person,
    admin: Person,
    member: Person,
    other: Person,
    other_admin: Person,
    nobody: Person,
    stranger: Person,
    asker: Person,
    banned: Person,
}

/// A conversation, made for one attempt.
struct Scene<'c> {
    app: &'c App,
    cast: &'c Cast,
    kind: &'static str,
    room: Room,
}

impl Cast {
    async fn of(app: &App) -> Self {
        let names = [
            "Olga", "Adam", "Mia", "Otto", "Ada", "Nils", "Sue", "Ask", "Ben",
        ];
        let [
            owner,
            admin,
            member,
            other,
            other_admin,
            nobody,
            stranger,
            asker,
            banned,
        ] = app.people(names).await;
        Self {
            owner,
            admin,
            member,
            other,
            other_admin,
            nobody,
            stranger,
            asker,
            banned,
        }
    }

    fn who(&self, who: Who, kind: &str) -> Option<&Person> {
        match who {
            // In a direct conversation both are plain members.
            Who::Owner | Who::Admin | Who::Banned if kind == "DIRECT" => None,
            Who::Owner => Some(&self.owner),
            Who::Admin => Some(&self.admin),
            Who::Member => Some(&self.member),
            Who::Nobody => Some(&self.nobody),
            Who::Banned => Some(&self.banned),
        }
    }

    async fn set<'c>(&'c self, app: &'c App, kind: &'static str) -> Scene<'c> {
        if kind == "DIRECT" {
            let room = self.member.makes_direct(&self.other).await;
            return Scene {
                app,
                cast: self,
                kind,
                room,
            };
        }
        let members = [&self.admin, &self.member, &self.other, &self.other_admin];
        let ids: Vec<_> = members.iter().map(|person| &person.id).collect();
        let input = json!({ "kind": kind, "memberIds": ids });
        let room = self.owner.makes(input).await;
        for admin in [&self.admin, &self.other_admin] {
            self.owner.sets_role(&room, admin, "ADMIN").await;
        }
        self.owner.bans(&room, &self.banned).await;
        Scene {
            app,
            cast: self,
            kind,
            room,
        }
    }
}

/// What the system answers, as the documentation has it.
async fn table(app: &App) -> String {
    let cast = Cast::of(app).await;
    let mut table = String::new();
    for kind in KINDS {
        let columns: Vec<_> = EVERYBODY
            .iter()
            .filter_map(|(who, name)| Some((cast.who(*who, kind)?, *name)))
            .collect();
        let names = columns
            .iter()
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(" | ");
        let line = " --- |".repeat(columns.len());
        write!(table, "\n### {kind}\n\n| | {names} |\n| --- |{line}\n").expect("a string");
        for (act, how, name) in ACTS {
            let mut cells = Vec::new();
            for (actor, _) in &columns {
                let scene = cast.set(app, kind).await;
                let Some((query, variables)) = scene.prepares(act, how, actor).await else {
                    cells.push("–".to_owned());
                    continue;
                };
                let answer = actor.request(query, variables).await.json();
                let code = &answer["errors"][0]["extensions"]["code"];
                cells.push(code.as_str().unwrap_or("yes").to_owned());
                if kind == "DIRECT" {
                    let leave =
                        json!({ "input": { "callId": answer["data"]["startCall"]["call"]["id"] } });
                    actor.request(crate::calls::HANG_UP, leave).await;
                }
            }
            if cells.iter().all(|cell| cell == "–") {
                continue;
            }
            let name = match how.words() {
                None => name.to_owned(),
                Some(how) => format!("{name}, {how}"),
            };
            writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string");
        }
    }
    table
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever changes a rule asks for it"
)]
fn is_to_be_written() -> bool {
    std::env::var_os("WRITE_PERMISSIONS").is_some()
}

on_both! {
    async fn each_act_is_allowed_and_refused_as_the_documentation_says(app) {
        let table = table(app).await;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
        let docs = std::fs::read_to_string(&path).expect("the documentation");
        let (head, rest) = docs.split_once(BEGIN).expect("the beginning of the table");
        let (written, tail) = rest.split_once(END).expect("the end of the table");
        if is_to_be_written() {
            let docs = format!("{head}{BEGIN}\n{}\n\n{END}{tail}", table.trim_end());
            std::fs::write(&path, docs).expect("it is written");
        } else {
            assert_eq!(written.trim(), table.trim(), "write it by WRITE_PERMISSIONS=1");
        }
    }
}

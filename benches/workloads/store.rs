//! A database with all that the workloads need, of which each run gets a copy.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::Result;
use crate::arguments::Database;
use crate::node::Node;
use crate::seed::World;
use crate::servers::Servers;

/// The database that every Postgres has, from which others are made and removed.
const MAINTENANCE: &str = "postgres";

pub(crate) struct Store<'a> {
    pub(crate) database: Database,
    pub(crate) world: World,
    place: Place<'a>,
}

/// What a node keeps its data in.
pub(crate) struct Place<'a> {
    /// None for SQLite, which is among the files.
    postgres: Option<(&'a Servers, String)>,
    files: TempDir,
}

impl<'a> Store<'a> {
    /// Makes a database and fills it, by a node.
    pub(crate) async fn fill(database: Database, servers: Option<&'a Servers>) -> Result<Self> {
        let servers = servers.filter(|_| database == Database::Postgres);
        let place = Place::make(servers, "seeded", "")?;
        let mut node = place.node();
        node.start().await?;
        let world = World::seed(&node).await?;
        node.stop().await?;
        if let Some((servers, name)) = &place.postgres {
            // As it would have done by itself after a while.
            servers.execute(name, "VACUUM ANALYZE")?;
        }
        Ok(Self {
            database,
            world,
            place,
        })
    }

    pub(crate) fn copy(&self) -> Result<Place<'a>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("run_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let Some((servers, seeded)) = &self.place.postgres else {
            let place = Place::make(None, &name, "")?;
            copy_files(self.place.files.path(), place.files.path())?;
            return Ok(place);
        };
        let template = format!("TEMPLATE {seeded} STRATEGY file_copy");
        Place::make(Some(*servers), &name, &template)
    }
}

impl<'a> Place<'a> {
    fn make(servers: Option<&'a Servers>, name: &str, options: &str) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let Some(servers) = servers else {
            return Ok(Self {
                postgres: None,
                files,
            });
        };
        servers.execute(MAINTENANCE, &format!("CREATE DATABASE {name} {options}"))?;
        Ok(Self {
            postgres: Some((servers, name.to_owned())),
            files,
        })
    }

    /// A node on it, not started yet.
    pub(crate) fn node(&self) -> Node {
        let settings = self.postgres.as_ref().map(|(servers, name)| {
            [
                ("DATABASE_URL", servers.postgres_url(name)),
                ("REDIS_URL", servers.redis_url()),
            ]
        });
        Node::new(self.files.path(), settings.into_iter().flatten())
    }

    /// Takes it away: Postgres would go on tidying it.
    pub(crate) fn remove(self) -> Result<()> {
        match self.postgres {
            Some((servers, name)) => servers.execute(MAINTENANCE, &format!("DROP DATABASE {name}")),
            None => Ok(()),
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

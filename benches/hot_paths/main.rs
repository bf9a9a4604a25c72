//! What each hot path costs by itself: `cargo bench --bench hot_paths`, with a filter behind `--`.
//!
//! Each file is a path. All of them go in by the public doors of `schema` and `domain`, over a fresh
//! SQLite file ([`node`]) where a database is needed, with the server's allocator. Times are of
//! the clock on the wall: what waits for the disk says so.
//!
//! What a whole node does under load is measured by the workloads beside this.

mod events;
mod node;
mod pages;
mod rates;
mod requests;
mod resuming;
mod sends;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    divan::main();
}

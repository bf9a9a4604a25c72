//! What each hot path costs by itself: `cargo bench --bench hot_paths`, with a filter behind `--`.
//!
//! Each file is a path. All of them go in by the public doors of `schema` and `domain`, over a fresh
//! SQLite file ([`node`]) where a database is needed, with the allocator of the server. Times are
//! of the clock on the wall: what waits for the disk says so. Allocations are counted on the
//! thread that executes; SQLite's own threads are left out.
//!
//! What a whole node does under load is measured by the workloads beside this.

mod events;
mod node;
mod pages;
mod requests;
mod resuming;
mod sends;

use divan::AllocProfiler;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: AllocProfiler<tikv_jemallocator::Jemalloc> =
    AllocProfiler::new(tikv_jemallocator::Jemalloc);

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

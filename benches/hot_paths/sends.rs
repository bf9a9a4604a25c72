//! `sendMessage`, each answered after its commit. Most of the time is the disk's.

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::future::join_all;

use crate::node::{Node, message};

/// How many conversations those who send at once write in.
const CONVERSATIONS: usize = 16;

#[divan::bench]
fn alone(bencher: Bencher) {
    let node = Node::new();
    let ann = node.person("Ann");
    let conversation = node.conversation(&ann, &[]);
    bencher
        .with_inputs(|| (ann.cx.clone(), message(&conversation)))
        .bench_local_values(|(cx, request)| node.run(node.execute(cx, request)));
}

/// Those that meet commit together.
#[divan::bench(args = [8, 64])]
fn at_once(bencher: Bencher, sends: usize) {
    let node = Node::new();
    let ann = node.person("Ann");
    let conversations = [(); CONVERSATIONS].map(|()| node.conversation(&ann, &[]));
    let requests = || {
        let conversations = conversations.iter().cycle().take(sends);
        let requests = conversations.map(|conversation| message(conversation));
        requests.collect::<Vec<_>>()
    };
    bencher
        .counter(ItemsCount::new(sends))
        .with_inputs(requests)
        .bench_local_values(|requests| {
            let requests = requests.into_iter();
            let sends = requests.map(|request| node.execute(ann.cx.clone(), request));
            node.run(join_all(sends))
        });
}

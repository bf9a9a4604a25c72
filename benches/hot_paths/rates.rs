//! What it costs to count a request: of a device and its user, or of a stranger's address.

use std::net::{IpAddr, Ipv4Addr};

use backchannel_domain::client::Client;
use backchannel_domain::rates::Payer;
use divan::Bencher;

use crate::node::Node;

/// So many that none of them asks too often.
const STRANGERS: u32 = 10_000;

#[divan::bench]
fn of_a_stranger(bencher: Bencher) {
    let node = Node::limited();
    let payers: Vec<Payer> = (0..STRANGERS)
        .map(|n| {
            let address = IpAddr::V4(Ipv4Addr::from_bits(n));
            node.domain
                .payer(None, &Client::new(Some(address), None, None))
        })
        .collect();
    let mut payers = payers.iter().cycle();
    bencher
        .with_inputs(move || payers.next().expect("they come again"))
        .bench_local_values(|payer| {
            let counted = node.domain.count_requests(payer, 1);
            counted.expect("not too often")
        });
}

/// Who asks too often, token and all.
#[divan::bench]
fn of_one_who_is_refused(bencher: Bencher) {
    let node = Node::limited();
    let ann = node.person("Ann");
    let client = Client::default();
    let count = || {
        let payer = node.domain.payer(Some(&ann.token), &client);
        node.domain.count_requests(&payer, 1)
    };
    while count().is_ok() {}
    bencher.bench_local(count);
}

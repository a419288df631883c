//! Time, by criterion: shorter runs than its own, because there are many cases and no case has a tail.

use std::time::Duration;

use criterion::{Criterion, Throughput};

use crate::{Case, Work};

pub(crate) fn run(cases: &[Case]) {
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(30);
    let mut criterion = criterion.configure_from_args();
    for (name, make) in cases {
        // Made only when criterion wants it: some take a while to set up.
        let mut made: Option<Work> = None;
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("frame", |bencher| {
            let work = made.get_or_insert_with(make);
            bencher.iter_custom(|rounds| {
                let steps = rounds.div_ceil(u64::from(work.frames));
                let begun = std::time::Instant::now();
                (0..steps).for_each(|_| (work.step)());
                begun.elapsed().mul_f64(rounds as f64 / (steps * u64::from(work.frames)) as f64)
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

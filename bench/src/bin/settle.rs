//! How often does a kubelet publish the end of a container before its cause? The command and its options: [`USAGE`].

use podwait_bench::settle::table::Table;
use podwait_bench::settle::way::Way;
use podwait_bench::settle::{Field, Weather};
use std::error::Error;

const USAGE: &str = "\
usage: settle [--way WAY] [--cpu PERCENT] [--delay MILLIS] [--runs N] [--at-once N] [--nodes N]
Ends at least N pods in each way, or only in the given way, and prints a table. The ways: deadline, pressure,
soft-pressure, preemption, shutdown, volume. By default there are four experiments: kubelets run all the time or
20 % of it, and their requests to the API server are delayed by nothing or by 200 ms.";

struct Options {
    ways: Vec<Way>,
    cpus: Vec<u32>,
    delays: Vec<u32>,
    runs: usize,
    at_once: usize,
    nodes: usize,
}

impl Options {
    fn read() -> Option<Self> {
        let mut options = Self {
            ways: Way::ALL.to_vec(),
            cpus: vec![100, 20],
            delays: vec![0, 200],
            runs: 200,
            at_once: 200,
            nodes: 8,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--way" => options.ways = vec![Way::parse(&value)?],
                "--cpu" => options.cpus = vec![value.parse().ok()?],
                "--delay" => options.delays = vec![value.parse().ok()?],
                "--runs" => options.runs = value.parse().ok()?,
                "--at-once" => options.at_once = value.parse().ok()?,
                "--nodes" => options.nodes = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(options)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read().ok_or(USAGE)?;
    let mut field = Field::new(options.nodes, options.at_once);
    let mut table = Table::default();
    println!("{}", Table::HEAD);
    for way in &options.ways {
        for cpu in &options.cpus {
            for delay in &options.delays {
                let row = field.run(*way, Weather { cpu: *cpu, delay: *delay }, options.runs).await?;
                print!("{row}");
                eprint!("{}", row.ends());
                table.push(row);
            }
        }
        println!("{}", table.total(way.title(), &[*way]));
    }
    // A way without a mark in the pod could not be detected by a later version either.
    let marking: Vec<Way> = options.ways.into_iter().filter(|way| *way != Way::Volume).collect();
    println!("{}", table.total("all but volumes", &marking));
    Ok(())
}

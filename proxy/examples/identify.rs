//! Prints, as one line of JSON, how long it takes to find out who asks: user and cgroup, as a proxy
//! without capabilities does once for each connection. In microseconds.

use anyhow::Result;
use credpin_proxy::identity::measure;

const COUNT: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut took = measure(COUNT).await?;
    took.sort_unstable();
    let micros = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e6;
    let line = serde_json::json!({ "count": COUNT, "p50_us": micros(50), "p99_us": micros(99) });
    println!("{line}");
    Ok(())
}

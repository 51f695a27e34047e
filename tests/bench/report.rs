//! The table at the end.

use std::time::Duration;

/// Rows as they are measured; each is also told at once, so that a broken run still says something.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 4]>,
}

impl Report {
    /// One figure, its baseline, and how they compare with what is to be reached.
    pub fn row(&mut self, what: &str, figure: String, baseline: String, verdict: String) {
        eprintln!("  {what}: {figure} | {baseline} | {verdict}");
        self.rows.push([what.to_owned(), figure, baseline, verdict]);
    }

    pub fn print(&self) {
        println!("| what | measured | baseline of the same run | against the goal |");
        println!("|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// A ratio beside what it should be at most.
pub fn at_most(ratio: f64, goal: f64) -> String {
    verdict(ratio <= goal, &format!("{ratio:.2} × (goal ≤ {goal} ×)"))
}

/// A ratio or rate beside what it should be at least.
pub fn at_least(figure: f64, goal: f64, unit: &str) -> String {
    verdict(
        figure >= goal,
        &format!("{figure:.1} {unit} (goal ≥ {goal} {unit})"),
    )
}

pub fn verdict(reached: bool, text: &str) -> String {
    format!("{} {text}", if reached { "reached:" } else { "MISSED:" })
}

pub fn micros(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

pub fn mib(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / (1024.0 * 1024.0)
}

/// The value that `permille` of the samples do not exceed.
pub fn percentile(samples: &mut [Duration], permille: usize) -> Duration {
    samples.sort_unstable();
    let index = (samples.len() * permille / 1_000).min(samples.len() - 1);
    samples[index]
}

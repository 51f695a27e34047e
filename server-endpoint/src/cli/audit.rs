//! `audit`: is everything that branches filed here, once, in order?

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, block_on, open_ledger, output};
use crate::audit::{AuditError, StreamAudit, audit};
use crate::ledger::sqlite::SqliteLedger;

/// The audit found something.
const FOUND_SOMETHING: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// What `branchline-agent queue export --digest` wrote; `-` is standard input
    #[arg(required = true, value_name = "EXPORT")]
    exports: Vec<PathBuf>,
    /// One JSON object per stream and line, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(data_dir: &Path, args: &AuditArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let mut all_equal = true;
    for path in &args.exports {
        all_equal &= audit_export(&ledger, path, args.json)?;
    }
    Ok(if all_equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_SOMETHING)
    })
}

fn audit_export(ledger: &SqliteLedger, path: &Path, json: bool) -> Result<bool, Failure> {
    let input: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path)
            .map_err(|fault| Failure::fix_input(format!("open {}: {fault}", path.display())))?;
        Box::new(BufReader::new(file))
    };
    let mut equal = true;
    let tell = |found: &StreamAudit| {
        equal &= found.equal;
        if json {
            output::line(&serde_json::to_string(found).unwrap_or_default());
        } else {
            output::line(&in_words(found));
        }
    };
    let audited = block_on(async { Ok(audit(ledger, input, tell).await) })?;
    match audited {
        Ok(()) => Ok(equal),
        Err(AuditError::Ledger(fault)) => Err(fault.into()),
        Err(fault @ AuditError::Export { .. }) => {
            let message = format!("{}: {fault}; export it again", path.display());
            Err(Failure::fix_input(message))
        }
    }
}

fn in_words(found: &StreamAudit) -> String {
    let count = output::count;
    let mut text = format!(
        "{} {}: {} {} at the branch, {} at central: {} lost, {} twice, {} out of order, {} \
         waiting",
        found.branch,
        found.stream,
        count(found.at_branch),
        if found.at_branch == 1 {
            "operation"
        } else {
            "operations"
        },
        count(found.at_central),
        count(found.lost),
        count(found.twice),
        count(found.out_of_order),
        count(found.waiting)
    );
    if let Some(first) = found.first_difference {
        let different = count(found.different);
        let _ = write!(text, ", {different} different from position {first} on");
    }
    if found.damaged > 0 {
        let _ = write!(text, ", {} damaged at the branch", count(found.damaged));
    }
    if found.foreign {
        text += ", known at central as another agent's";
    }
    text + if found.equal {
        " — equal"
    } else {
        " — NOT equal"
    }
}

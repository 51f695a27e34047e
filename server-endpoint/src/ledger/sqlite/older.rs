//! Ledgers as they were before, for tests of the migrations.

use std::path::Path;

use branchline_durable_sqlite::{Settings, open_writer};
use rusqlite::Connection;

const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/V1__ledger.sql"),
    include_str!("migrations/V2__files.sql"),
];
/// The tables that an older ledger had and that hold what agents said, which came with the first version.
const TABLES: [&str; 7] = [
    "branches",
    "agents",
    "streams",
    "operations",
    "positions",
    "tickets",
    "events",
];

/// Makes `old` a ledger of that version that holds what agents said to the one at `newer`.
pub(super) fn older(newer: &Path, old: &Path, version: usize) {
    let connection = open_writer(old, &Settings::default()).unwrap();
    for migration in &MIGRATIONS[..version] {
        connection.execute_batch(migration).unwrap();
    }
    let run = |sql: &str| connection.execute_batch(sql).unwrap();
    run(&format!("ATTACH '{}' AS newer", newer.display()));
    for table in TABLES {
        let columns = columns_of(&connection, table);
        // What agents proved themselves by, before they had certificates, is nowhere any more.
        let values = columns.replace("secret_hash", "zeroblob(32)");
        run(&format!(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM newer.{table}"
        ));
    }
    // What refinery notes of the migrations that it has run.
    run(&format!(
        "CREATE TABLE refinery_schema_history AS
             SELECT * FROM newer.refinery_schema_history WHERE version <= {version};
         DETACH newer"
    ));
}

fn columns_of(connection: &Connection, table: &str) -> String {
    let sql = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

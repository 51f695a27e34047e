//! Operators: added, changed, removed.

use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::sessions;
use crate::ledger::sqlite::columns::{self, unfit};
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{
    Deed, LedgerError, NewOperator, NewPassword, OPERATORS_MOST, OperatorChange, OperatorName,
    OperatorRecord, PasswordHash, Role,
};

const COLUMNS: &str = "name, role, password, must_change, made_at, password_at, signed_in_at, \
     (SELECT count(*) FROM sessions WHERE sessions.operator = operators.operator)";

pub(super) fn add(connection: &Connection, new: &NewOperator) -> Result<bool, LedgerError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM operators")?
        .query_row([], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= OPERATORS_MOST) {
        return Err(LedgerError::Full(format!(
            "there are {OPERATORS_MOST} operators; remove one that has left"
        )));
    }
    let added = connection
        .prepare_cached(
            "INSERT INTO operators (name, role, password, must_change, made_at, password_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (name) DO NOTHING",
        )?
        .execute(params![
            new.name.as_str(),
            new.role.as_str(),
            new.password.0,
            new.must_change,
            new.deed.at.0
        ])?;
    if added == 1 {
        trail::add(connection, &new.deed)?;
    }
    Ok(added == 1)
}

pub(super) fn list(connection: &Connection) -> Result<Vec<OperatorRecord>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM operators ORDER BY name LIMIT ?1"
    ))?;
    let most = i64::try_from(OPERATORS_MOST).unwrap_or(i64::MAX);
    let mut rows = statement.query([most])?;
    let mut operators = Vec::new();
    while let Some(row) = rows.next()? {
        operators.push(operator(row)?);
    }
    Ok(operators)
}

pub(super) fn find(
    connection: &Connection,
    name: &OperatorName,
) -> Result<Option<OperatorRecord>, LedgerError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM operators WHERE name = ?1"))?
        .query_row([name.as_str()], |row| Ok(operator(row)))
        .optional()?
        .transpose()
}

pub(super) fn set_role(
    connection: &Connection,
    name: &OperatorName,
    role: Role,
    deed: &Deed,
) -> Result<OperatorChange, LedgerError> {
    let Some(known) = find(connection, name)? else {
        return Ok(OperatorChange::Unknown);
    };
    if known.role == role {
        return Ok(OperatorChange::Done);
    }
    if is_last_administrator(connection, &known)? {
        return Ok(OperatorChange::LastAdministrator);
    }
    connection
        .prepare_cached("UPDATE operators SET role = ?2 WHERE name = ?1")?
        .execute([name.as_str(), role.as_str()])?;
    sessions::end_all(connection, name)?;
    trail::add(connection, deed)?;
    Ok(OperatorChange::Done)
}

pub(super) fn set_password(
    connection: &Connection,
    new: &NewPassword,
) -> Result<bool, LedgerError> {
    let proven = new.proven.as_ref().map(|proven| &proven.0);
    let set = connection
        .prepare_cached(
            "UPDATE operators SET password = ?2, must_change = ?3, password_at = ?4
             WHERE name = ?1 AND (?5 IS NULL OR password = ?5)",
        )?
        .execute(params![
            new.name.as_str(),
            new.password.0,
            new.must_change,
            new.deed.at.0,
            proven
        ])?;
    if set == 1 {
        sessions::end_all(connection, &new.name)?;
        trail::add(connection, &new.deed)?;
    }
    Ok(set == 1)
}

pub(super) fn remove(
    connection: &Connection,
    name: &OperatorName,
    deed: &Deed,
) -> Result<OperatorChange, LedgerError> {
    let Some(known) = find(connection, name)? else {
        return Ok(OperatorChange::Unknown);
    };
    if is_last_administrator(connection, &known)? {
        return Ok(OperatorChange::LastAdministrator);
    }
    sessions::end_all(connection, name)?;
    connection
        .prepare_cached("DELETE FROM operators WHERE name = ?1")?
        .execute([name.as_str()])?;
    trail::add(connection, deed)?;
    Ok(OperatorChange::Done)
}

fn is_last_administrator(
    connection: &Connection,
    operator: &OperatorRecord,
) -> Result<bool, LedgerError> {
    if operator.role != Role::Administrator {
        return Ok(false);
    }
    let others = connection
        .prepare_cached("SELECT 1 FROM operators WHERE role = 'administrator' AND name <> ?1")?
        .exists([operator.name.as_str()])?;
    Ok(!others)
}

fn operator(row: &Row<'_>) -> Result<OperatorRecord, LedgerError> {
    Ok(OperatorRecord {
        name: name(row, 0)?,
        role: role(row, 1)?,
        password: PasswordHash(row.get(2)?),
        must_change: row.get(3)?,
        made_at: columns::millis(row, 4)?,
        password_at: columns::millis(row, 5)?,
        signed_in_at: row.get::<_, Option<i64>>(6)?.map(UnixMillis),
        sessions: columns::count(row, 7)?,
    })
}

pub(super) fn name(row: &Row<'_>, column: usize) -> Result<OperatorName, LedgerError> {
    let text = row.get_ref(column)?.as_str().unwrap_or_default();
    text.parse().map_err(|_| unfit("an operator's name"))
}

pub(super) fn role(row: &Row<'_>, column: usize) -> Result<Role, LedgerError> {
    let text = row.get_ref(column)?.as_str().unwrap_or_default();
    text.parse().map_err(|()| unfit("an operator's role"))
}

//! The first administrator, whom nobody else can add.

use crate::ledger::{
    Deed, LedgerError, NewOperator, OperatorLedger, OperatorName, OperatorRecord, Role,
};

use super::passwords;

/// Its name.
pub const NAME: &str = "admin";

/// Adds the first administrator where there are no operators at all; answers with its password, which is
/// to be shown once, and is good for nothing but setting another.
pub async fn administrator(
    ledger: &dyn OperatorLedger,
    mut deed: Deed,
) -> Result<Option<String>, LedgerError> {
    let there: Vec<OperatorRecord> = ledger.operators().await?;
    let Ok(name) = NAME.parse::<OperatorName>() else {
        return Ok(None);
    };
    if !there.is_empty() {
        return Ok(None);
    }
    let made = passwords::one_time().map_err(LedgerError::Away)?;
    let hash = passwords::hash(&made);
    let password = hash.ok_or_else(|| LedgerError::Away("hash a password".into()))?;
    deed.action = "operator-added";
    deed.subject = name.to_string();
    deed.detail = "administrator, the first".into();
    let new = NewOperator {
        name,
        role: Role::Administrator,
        password,
        must_change: true,
        deed,
    };
    Ok(ledger.add_operator(new).await?.then_some(made))
}

//! Settings that IT sets by group policy: values below one registry key that only administrators write.
//! Names are those of `agent.toml`; a table there (`[files]`) is a key here.

use std::io;

use toml::{Table, Value};
use windows_registry::{Key, LOCAL_MACHINE, Type};

/// Where they stand; the templates in `packaging/policy` write there.
pub const POLICY: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Branchline\Agent";
const KEY: &str = r"SOFTWARE\Policies\Branchline\Agent";

/// ERROR_FILE_NOT_FOUND, as an HRESULT.
pub(super) const NO_SUCH_KEY: u32 = 0x8007_0002;

/// Values and keys that are read; more are a mistake.
const ENTRIES: usize = 256;

/// What policy says; nothing where there is none.
pub fn policy() -> io::Result<Table> {
    match LOCAL_MACHINE.options().read().open(KEY) {
        Ok(key) => settings(&key, true),
        Err(fault) if fault.code().0.cast_unsigned() == NO_SUCH_KEY => Ok(Table::new()),
        Err(fault) => Err(fault.into()),
    }
}

fn settings(key: &Key, with_tables: bool) -> io::Result<Table> {
    let mut settings = Table::new();
    for (name, value) in key.values()?.take(ENTRIES) {
        let value = match value.ty() {
            Type::U32 => Value::Integer(u32::try_from(value)?.into()),
            Type::U64 => {
                let number = u64::try_from(value)?;
                Value::Integer(i64::try_from(number).map_err(io::Error::other)?)
            }
            Type::String | Type::ExpandString => Value::String(String::try_from(value)?),
            Type::MultiString => {
                let texts = Vec::<String>::try_from(value)?;
                Value::Array(texts.into_iter().map(Value::String).collect())
            }
            Type::Bytes | Type::Other(_) => {
                let fault = format!("{name} is neither a text nor a number");
                return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
            }
        };
        settings.insert(name, truth(value));
    }
    if with_tables {
        for name in key.keys()?.take(ENTRIES) {
            let inner = key.options().read().open(&name)?;
            settings.insert(name, Value::Table(self::settings(&inner, false)?));
        }
    }
    Ok(settings)
}

/// Policies know no truth values: the templates write these words.
fn truth(value: Value) -> Value {
    match value.as_str() {
        Some("true") => Value::Boolean(true),
        Some("false") => Value::Boolean(false),
        _ => value,
    }
}

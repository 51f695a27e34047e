//! A vault that does what the one behind it does, until it is told to fail: for tests.

use std::sync::{Arc, Mutex};

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;

use super::{Pending, Shelf, Vault, VaultError, Writing};
use crate::ledger::ObjectName;

/// Which step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Prepare,
    Begin,
    Append,
    /// Before anything has its name.
    Seal,
    /// The name is there, and nobody is told.
    Sealed,
    Read,
    Delete,
    Room,
}

type Plan = Arc<Mutex<Option<(Step, VaultError)>>>;

pub(crate) struct FaultyVault {
    inner: Arc<dyn Vault>,
    plan: Plan,
}

impl FaultyVault {
    pub(crate) fn around(inner: Arc<dyn Vault>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            plan: Plan::default(),
        })
    }

    /// This step fails from now on.
    pub(crate) fn fail(&self, step: Step, fault: VaultError) {
        *self.plan.lock().unwrap() = Some((step, fault));
    }

    pub(crate) fn mend(&self) {
        *self.plan.lock().unwrap() = None;
    }

    fn at<'a, T: 'a>(&self, step: Step, work: Pending<'a, T>) -> Pending<'a, T> {
        let plan = self.plan.clone();
        Box::pin(async move {
            reach(&plan, step)?;
            work.await
        })
    }
}

fn reach(plan: &Plan, step: Step) -> Result<(), VaultError> {
    match &*plan.lock().unwrap() {
        Some((planned, fault)) if *planned == step => Err(fault.clone()),
        _ => Ok(()),
    }
}

struct FaultyWriting {
    inner: Box<dyn Writing>,
    plan: Plan,
}

impl Writing for FaultyWriting {
    fn append(&mut self, pieces: Vec<Vec<u8>>) -> Pending<'_, ()> {
        Box::pin(async move {
            reach(&self.plan, Step::Append)?;
            self.inner.append(pieces).await
        })
    }

    fn seal(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            reach(&self.plan, Step::Seal)?;
            self.inner.seal().await?;
            reach(&self.plan, Step::Sealed)
        })
    }
}

impl FaultyVault {
    fn begin<'a>(&self, begun: Pending<'a, Box<dyn Writing>>) -> Pending<'a, Box<dyn Writing>> {
        let plan = self.plan.clone();
        let begun = self.at(Step::Begin, begun);
        Box::pin(async move {
            let inner = begun.await?;
            Ok(Box::new(FaultyWriting { inner, plan }) as Box<dyn Writing>)
        })
    }
}

impl Vault for FaultyVault {
    fn prepare(&self) -> Pending<'_, ()> {
        self.at(Step::Prepare, self.inner.prepare())
    }
    fn room(&self) -> Pending<'_, u64> {
        self.at(Step::Room, self.inner.room())
    }
    fn begin_object(&self, name: ObjectName) -> Pending<'_, Box<dyn Writing>> {
        self.begin(self.inner.begin_object(name))
    }
    fn read_object(&self, name: ObjectName, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        self.at(Step::Read, self.inner.read_object(name, offset, length))
    }
    fn delete_objects(&self, names: Vec<ObjectName>) -> Pending<'_, ()> {
        self.at(Step::Delete, self.inner.delete_objects(names))
    }
    fn objects_before(&self, part: u8, before: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        self.at(Step::Read, self.inner.objects_before(part, before))
    }
    fn begin_file(&self, root: Digest) -> Pending<'_, Box<dyn Writing>> {
        self.begin(self.inner.begin_file(root))
    }
    fn file_size(&self, at: Shelf, root: Digest) -> Pending<'_, Option<u64>> {
        self.at(Step::Read, self.inner.file_size(at, root))
    }
    fn read_file(
        &self,
        at: Shelf,
        root: Digest,
        offset: u64,
        length: usize,
    ) -> Pending<'_, Vec<u8>> {
        self.at(Step::Read, self.inner.read_file(at, root, offset, length))
    }
    fn promote(&self, root: Digest) -> Pending<'_, ()> {
        self.at(Step::Seal, self.inner.promote(root))
    }
    fn withdraw(&self, root: Digest) -> Pending<'_, ()> {
        self.at(Step::Seal, self.inner.withdraw(root))
    }
    fn discard(&self, at: Shelf, root: Digest) -> Pending<'_, ()> {
        self.at(Step::Delete, self.inner.discard(at, root))
    }
}

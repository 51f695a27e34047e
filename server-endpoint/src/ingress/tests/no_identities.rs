//! Identities for ledgers that know agents and nothing of certificates: any is good for its agent. Of the desk
//! they know nothing either.

/// Answers each verb with what `$answer` makes of the ledger.
macro_rules! no_identities {
    ($ledger:ty, $answer:expr) => {
        $crate::ingress::tests::no_identities::no_identities!($ledger, $answer;
            add_branch(_: BranchCode, _: Option<String>, _: Deed) -> ();
            add_token(_: NewToken) -> Option<TokenRecord>;
            tokens() -> Vec<TokenRecord>;
            revoke_token(_: u64, _: Deed) -> bool;
            enrol(_: Enrol) -> Enrolled;
            keep_certificate(_: NewCertificate) -> bool;
            prove_certificate(_: AgentId, _: CertificateSerial, _: UnixMillis) -> ();
            note_refusal(_: AgentId, _: String, _: UnixMillis) -> ();
            certificates(_: AgentId) -> Vec<CertificateRecord>;
            revoke_agent(_: AgentId, _: Deed) -> bool;
            publish_trust(_: SignedTrust, _: Deed) -> ();
            record(_: Deed) -> ();
            trail(_: TrailFilter) -> Vec<TrailEntry>;
        );
        $crate::ingress::tests::no_identities::no_identities!(desk $ledger, $answer;
            command(_: Command) -> Commanded;
            offered(_: BranchCode, _: FileId) -> Option<OfferedFile>;
            may_give(_: TicketNumber, _: String, _: u64) -> Option<FileGiven>;
            give_file(_: GiveFile) -> FileGiven;
            abandon_given(_: UnixMillis, _: UnixMillis) -> GivenUp;
            forget_given(_: Vec<FileId>) -> ();
            catalogue() -> Catalogue;
            change_catalogue(_: Catalogue, _: Deed) -> CatalogueChange;
            bandwidths() -> Vec<(BranchCode, String)>;
            set_bandwidth(_: BranchCode, _: Option<String>, _: Deed) -> bool;
        );
    };
    (desk $ledger:ty, $answer:expr; $($verb:ident($($arg:tt: $of:ty),*) -> $gives:ty;)*) => {
        const _: () = {
            use branchline_protocol::desk::{Catalogue, OfferedFile};
            use branchline_protocol::id::TicketNumber;
            use branchline_protocol::time::UnixMillis;
            use $crate::ledger::{
                CatalogueChange, Command, Commanded, Deed, DeskLedger, FileGiven, GiveFile, GivenUp,
                Pending,
            };
            impl DeskLedger for $ledger {
                $(fn $verb(&self, $($arg: $of),*) -> Pending<'_, $gives> { ($answer)(self) })*
            }
        };
    };
    ($ledger:ty, $answer:expr; $($verb:ident($($arg:tt: $of:ty),*) -> $gives:ty;)*) => {
        const _: () = {
            use branchline_protocol::enrolment::SignedTrust;
            use branchline_protocol::id::{AgentId, BranchCode};
            use branchline_protocol::time::UnixMillis;
            use $crate::ledger::{
                CertificateRecord, CertificateSerial, Deed, Enrol, Enrolled, Identified,
                IdentityLedger, Ledger, NewCertificate, NewToken, Pending, TokenRecord, TrailEntry,
                TrailFilter,
            };
            impl IdentityLedger for $ledger {
                fn identify(
                    &self,
                    agent: AgentId,
                    _: CertificateSerial,
                ) -> Pending<'_, Option<Identified>> {
                    Box::pin(async move {
                        let agent = Ledger::agent(self, agent).await?;
                        Ok(agent.map(|agent| Identified { agent, certificate: None }))
                    })
                }
                fn revocations(&self, _: Option<u64>) -> Pending<'_, (u64, Vec<AgentId>)> {
                    Box::pin(async { Ok((0, Vec::new())) })
                }
                $(fn $verb(&self, $($arg: $of),*) -> Pending<'_, $gives> { ($answer)(self) })*
            }
        };
    };
}
pub(super) use no_identities;

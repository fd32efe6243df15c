//! The devices of the demonstration.

use comfy_table::Table;
use sync_core::SyncReport;
use sync_transport::http::{HttpPeer, ServerHandle, Token};
use tempfile::TempDir;

use crate::{error::AppError, library::Library, network, show};

/// After this many cycles without silence something is wrong.
const MOST_CYCLES: usize = 10;

/// Three devices in a temporary folder.
#[derive(Debug)]
pub(super) struct Stage {
    /// Indexes the directory.
    pub laptop: Library,
    /// Serves the others.
    pub nas: Library,
    /// Knows the files only from the others.
    pub phone: Library,
    peer: HttpPeer,
    server: ServerHandle,
    _folder: TempDir,
}

impl Stage {
    /// Opens three libraries and serves one of them on loopback.
    pub(super) async fn open() -> Result<Self, AppError> {
        let folder = tempfile::tempdir()
            .map_err(|source| AppError::Io { path: "a temporary folder".into(), source })?;
        let nas = Library::open(&folder.path().join("nas.db"), "nas", None).await?;
        let library = Some(nas.engine.library_id());
        let laptop = Library::open(&folder.path().join("laptop.db"), "laptop", library).await?;
        let phone = Library::open(&folder.path().join("phone.db"), "phone", library).await?;
        let token = Token::generate(&sync_core::runtime::SystemRandom);
        let server = network::serve(&nas, ([127, 0, 0, 1], 0).into(), Some(token.reveal())).await?;
        let peer = network::peer(&format!("http://{}", server.local_addr()), Some(token.reveal()))?;
        Ok(Self { laptop, nas, phone, peer, server, _folder: folder })
    }

    /// The devices, by name.
    pub(super) fn devices(&self) -> [(&'static str, &Library); 3] {
        [("laptop", &self.laptop), ("nas", &self.nas), ("phone", &self.phone)]
    }

    /// Ends the server and the engines.
    pub(super) async fn close(self) -> Result<(), AppError> {
        self.server.shutdown().await;
        for library in [&self.laptop, &self.nas, &self.phone] {
            library.engine.shutdown().await?;
        }
        Ok(())
    }
}

/// The rounds that were made, and what each did.
#[derive(Debug, Default)]
pub(super) struct Rounds(Vec<(&'static str, SyncReport)>);

impl Rounds {
    /// One round of `library` with the serving device. True if anything went either way.
    pub(super) async fn sync(
        &mut self,
        name: &'static str,
        library: &Library,
        stage: &Stage,
    ) -> Result<bool, AppError> {
        let report = library.engine.sync_with(&stage.peer).await?;
        let moved = report.sent + report.received + report.snapshot_records > 0;
        self.0.push((name, report));
        Ok(moved)
    }

    /// Rounds of both devices until nothing moves any more.
    pub(super) async fn until_quiet(&mut self, stage: &Stage) -> Result<(), AppError> {
        for _ in 0..MOST_CYCLES {
            let laptop = self.sync("laptop", &stage.laptop, stage).await?;
            let phone = self.sync("phone", &stage.phone, stage).await?;
            if !laptop && !phone {
                return Ok(());
            }
        }
        Err(AppError::Broken(format!("after {MOST_CYCLES} cycles changes still move")))
    }

    /// The rounds for people.
    pub(super) fn table(&self) -> Table {
        let headings = [
            "round with nas",
            "changes sent",
            "bytes",
            "changes received",
            "records",
            "bytes",
            "conflicts",
            "merges",
        ];
        let mut table = show::table(headings);
        for (name, report) in &self.0 {
            table.add_row([
                (*name).to_owned(),
                report.sent.to_string(),
                show::bytes(report.bytes_sent),
                report.received.to_string(),
                report.snapshot_records.to_string(),
                show::bytes(report.bytes_received),
                report.conflicts.to_string(),
                report.merges.to_string(),
            ]);
        }
        table
    }
}

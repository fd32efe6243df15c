//! A part of a library over the real transport: a phone that wants one project follows its server.

use sea_orm::{ActiveModelTrait, EntityTrait, Set};
use sync_core::{PeerError, Scope, SyncError};
use sync_tests::{Device, Served, device::library, entities::item};

use crate::{add, items};

async fn tagged(device: &Device, title: &str, tag: &str) -> uuid::Uuid {
    let (title, note) = (Set(title.into()), Set(Some(tag.into())));
    let new = item::ActiveModel { title, note, qty: Set(1), ..Default::default() };
    new.insert(&device.db).await.expect("an item").id
}

#[tokio::test]
async fn a_phone_keeps_one_project_of_a_server() {
    let library = library();
    let server = Device::new(library).await;
    add(&server, "other", 50).await;
    let id = tagged(&server, "a", "project-7").await;
    let scope = Scope::none().tag("project-7");
    let phone = Device::with(library, |builder| builder.without_background().scope(scope)).await;
    let mut served = Served::new(server.engine.clone(), library).await;
    let round = async |served: &Served| {
        let report = phone.engine.sync_with(&served.client()).await.expect("a round");
        assert!(report.in_sync, "{report:?}");
        report
    };
    assert_eq!(round(&served).await.snapshot_records, 1);
    assert_eq!(items(&phone).await, 1);
    tagged(&phone, "by the phone", "project-7").await;
    tagged(&phone, "for others", "project-8").await;
    assert_eq!(round(&served).await.sent, 2);
    assert_eq!((items(&phone).await, items(&server).await), (2, 53));

    // The server is started anew, and moves a record out.
    served.stop().await;
    let server = server.restart(|builder| builder.without_background()).await;
    served.start(server.engine.clone()).await;
    let edit = item::ActiveModel { id: Set(id), note: Set(Some("project-8".into())), ..Default::default() };
    edit.update(&server.db).await.expect("an update");
    round(&served).await;
    let here = item::Entity::find().all(&phone.db).await.expect("items");
    assert_eq!(here.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(), ["by the phone"]);

    // The phone as a server: what it cannot do arrives as what it is.
    let (other, phones) = (Device::new(library).await, Served::new(phone.engine.clone(), library).await);
    let error = other.engine.repair_with(&phones.client()).await.expect_err("only a part is there");
    assert!(matches!(error, SyncError::Peer(PeerError::PartOnly)), "{error}");
    other.engine.sync_with(&phones.client()).await.expect("a round");
    assert_eq!(items(&other).await, 2, "what the phone itself wrote");
}

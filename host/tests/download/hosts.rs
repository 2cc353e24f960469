//! What a host answers, whom it is asked by, and by which hashes its files are checked.

use std::collections::BTreeMap;

use hearth_host::{
    ModelStore,
    download::{DownloadError, PullEvent, PullOptions, Token},
    store::BlobId,
};

use crate::{
    Place,
    faulty::{Fault, REPO, Server, model},
    options, read,
};

#[test]
fn each_lasting_answer_has_its_own_error_with_a_way_out() {
    for (status, expected) in [(401, "token"), (403, "refused"), (404, "exist"), (400, "status 400")] {
        let server = Server::start(model(7, 1000));
        server.faults(move |_| Fault::Status(status, None));
        let error = Place::new().pull(REPO, &options(&server)).unwrap_err();
        assert!(error.to_string().contains(expected), "{status}: {error}");
        assert_eq!(server.asked().len(), 1, "{status}: asking again would not help");
    }
    let server = Server::start(model(7, 1000));
    server.faults(|_| Fault::Status(503, None));
    let gave_up = Place::new().pull(REPO, &options(&server)).unwrap_err();
    assert!(matches!(gave_up, DownloadError::GaveUp { attempts: 8, .. }), "{gave_up}");
    server.faults(|_| Fault::Status(429, Some(3600)));
    let too_busy = Place::new().pull(REPO, &options(&server)).unwrap_err();
    assert!(matches!(too_busy, DownloadError::TooBusy { wait_s: 3600, .. }), "{too_busy}");
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    let server = Server::start(model(8, 1000));
    let mut refusals = 3;
    server.faults(move |_| {
        refusals -= i32::from(refusals > 0);
        if refusals > 0 { Fault::Status(429, Some(7)) } else { Fault::None }
    });
    let place = Place::new();
    place.pull(REPO, &options(&server)).unwrap();
    assert!(place.was_told(|event| matches!(event, PullEvent::Retry { wait_s: 7.0, .. })));
}

#[test]
fn the_token_goes_to_its_own_host_alone() {
    let files = model(9, 50_000);
    let (server, mirror, elsewhere) =
        (Server::start(files.clone()), Server::start(files.clone()), Server::start(files.clone()));
    let to = elsewhere.address;
    let mut seen = 0;
    server.faults(move |asked| {
        seen += 1;
        match asked.path.contains("/resolve/") {
            true if seen % 3 == 0 => Fault::Status(503, None),
            true => Fault::Redirect(to),
            false => Fault::None,
        }
    });
    let place = Place::new();
    let options = PullOptions { token: Token::new("hf_secret"), mirrors: vec![mirror.base()], ..options(&server) };
    let model = place.pull(REPO, &options).unwrap();
    assert_eq!(read(&model.folder), files);
    let with_token = |server: &Server| server.asked().iter().filter(|asked| asked.authorization.is_some()).count();
    assert_eq!(with_token(&server), server.asked().len());
    assert!(server.asked().iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hf_secret")));
    assert!(!elsewhere.asked().is_empty() && !mirror.asked().is_empty());
    assert_eq!((with_token(&elsewhere), with_token(&mirror)), (0, 0));
}

#[test]
fn a_mirror_helps_out_and_one_that_lies_is_found_out() {
    let files = model(10, 50_000);
    let (server, mirror) = (Server::start(files.clone()), Server::start(files.clone()));
    server.faults(|asked| if asked.path.starts_with("/api/") { Fault::None } else { Fault::Status(404, None) });
    let options = PullOptions { mirrors: vec![mirror.base()], ..options(&server) };
    let place = Place::new();
    assert_eq!(read(&place.pull(REPO, &options).unwrap().folder), files);
    mirror.change();
    let place = Place::new();
    let error = place.pull(REPO, &options).unwrap_err();
    assert!(matches!(error, DownloadError::WrongHash { .. } | DownloadError::GaveUp { .. }), "{error}");
    assert!(place.store().models().unwrap().is_empty());
}

#[test]
fn files_are_checked_by_whatever_hash_there_is_and_not_taken_without_one() {
    for (has_ids, has_sidecars) in [(true, false), (false, true), (false, false)] {
        let server = Server::start(model(11, 20_000));
        server.list_small(has_ids);
        if !has_sidecars {
            server.without_sidecars();
        }
        let place = Place::new();
        let pulled = place.pull(REPO, &options(&server));
        if has_ids || has_sidecars {
            assert_eq!(read(&pulled.unwrap().folder), server.files());
            // The same, spoilt on every way: never complete.
            server.change();
            server.faults(|asked| if asked.path.ends_with("safetensors") { Fault::Spoil(77) } else { Fault::None });
            let wrong = place.pull(REPO, &options(&server)).unwrap_err();
            assert!(matches!(wrong, DownloadError::WrongHash { .. }), "{wrong}");
        } else {
            assert!(matches!(pulled.unwrap_err(), DownloadError::NoHash { .. }));
            let trusting = PullOptions { allows_unverified: true, ..options(&server) };
            assert_eq!(read(&place.pull(REPO, &trusting).unwrap().folder), server.files());
        }
    }
}

#[test]
fn addresses_are_fetched_by_a_given_hash_too() {
    let server = Server::start(BTreeMap::from([("m.gguf".to_owned(), b"GGUF and more".to_vec())]));
    server.without_sidecars();
    let place = Place::new();
    let right = PullOptions { sha256: Some(BlobId::of(b"GGUF and more")), ..options(&server) };
    let model = place.pull(&server.url("m.gguf"), &right).unwrap();
    assert_eq!(model.manifest.name, "m");
    let found = ModelStore::new([]).stored_in(place.store().root()).find("m").unwrap();
    assert_eq!(found.file.as_deref(), Some("m.gguf"));
    let wrong = PullOptions { sha256: Some(BlobId::of(b"else")), ..options(&server) };
    let error = Place::new().pull(&server.url("m.gguf"), &wrong).unwrap_err();
    assert!(matches!(error, DownloadError::WrongHash { .. }), "{error}");
}

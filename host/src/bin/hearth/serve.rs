//! `serve`: the user interface and the engine for browsers on this machine.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use hearth_engine::protocol::{Failure, FailureCode};
use hearth_host::{
    DocumentOptions, EngineHandle, HostOptions, ModelStore,
    documents::Library,
    server::{AllowedNames, ServerOptions, router, serve as serve_until, url_of},
};
use tokio::net::TcpListener;

use crate::{
    args::{Device, Global, Serve},
    output::{Output, Stop},
    values::is_loopback,
};

/// Answers that are open when the server is told to end get this long.
const GRACE: Duration = Duration::from_secs(3);

pub fn serve(models: ModelStore, args: &Serve, global: &Global, output: &Output) -> Result<(), Stop> {
    // What a browser names must be a name: paths are for the person at this terminal.
    let mut models = models.allow_paths(false).allow_adding(false);
    if let Some(model) = &global.model {
        models = models.choose(model)?;
    }
    let gpu_allowed = global.device != Device::Cpu;
    let documents =
        shown_documents(args, Library::usual_file()).map(|file| DocumentOptions { file, allows_paths: false });
    let options = HostOptions { models, threads: global.threads(), gpu_allowed, activations: global.activations() };
    let engine =
        EngineHandle::start_with(options, documents).map_err(|error| Stop::io("the engine's thread", &error))?;
    let mut allowed = AllowedNames::listening_on(&args.host);
    allowed.origins.clone_from(&args.allow_origin);
    let ui_dir = args.ui.clone().or_else(usual_ui_dir);
    if ui_dir.as_ref().is_none_or(|dir| !dir.join("index.html").is_file()) {
        output.warning("the user interface is not built; `./hearth run` builds it, and --ui DIR names a built one");
    }
    let router = router(engine, ServerOptions { ui_dir, allowed, ..ServerOptions::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Stop::io("the server's threads", &error))?;
    runtime.block_on(async {
        let listener = bind(args).await?;
        let address = listener.local_addr().map_err(|error| Stop::io("the address", &error))?;
        announce(args, address, output)?;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let stop = async move {
            told_to_end().await;
            // The receiver lives until the server has ended.
            let _ = stopping.send(());
        };
        tokio::select! {
            served = serve_until(listener, router, stop) => served.map_err(|error| Stop::io("the network", &error)),
            () = async { let _ = stopped.await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    })
}

/// A person's own documents are for those at this machine, unless the person says otherwise.
fn shown_documents(args: &Serve, own: Option<PathBuf>) -> Option<PathBuf> {
    args.documents.clone().or_else(|| own.filter(|_| is_loopback(&args.host)))
}

/// Ends with Ctrl-C, or when the system asks the program to end.
async fn told_to_end() {
    tokio::select! {
        () = interrupted() => {}
        () = terminated() => {}
    }
}

async fn interrupted() {
    // Without a handler the system ends the program by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

async fn bind(args: &Serve) -> Result<TcpListener, Stop> {
    let place = format!("{}:{}", args.host, args.port);
    let addresses: Vec<SocketAddr> = (args.host.as_str(), args.port)
        .to_socket_addrs()
        .map_err(|error| refused(&place, &error, "Give a name or an address of this machine with --host."))?
        .collect();
    TcpListener::bind(addresses.as_slice()).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "Another program has this port: choose another with --port, or 0 for any.",
            io::ErrorKind::PermissionDenied => "Choose a port above 1023 with --port.",
            _ => "Give an address of this machine with --host.",
        };
        refused(&place, &error, hint)
    })
}

fn refused(place: &str, error: &io::Error, hint: &str) -> Stop {
    let message = format!("the server cannot listen on {place}: {error}");
    Stop::Failed(Failure { code: FailureCode::Io, message, hint: hint.to_owned() })
}

fn announce(args: &Serve, address: SocketAddr, output: &Output) -> Result<(), Stop> {
    let url = url_of(address);
    if output.json {
        output.json(&serde_json::json!({ "type": "listening", "url": url }))?;
    } else {
        output.line(format!("Hearth listens on {url} (Ctrl-C ends it)"))?;
    }
    if !is_loopback(&args.host) {
        output.warning("everyone who can reach this address can use the model; there is no password");
    }
    Ok(())
}

/// Where the built interface lies: beside the executable when installed, otherwise in the source tree.
fn usual_ui_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.as_deref().and_then(Path::parent);
    let installed = beside.into_iter().flat_map(|dir| [dir.join("ui"), dir.join("../share/hearth/ui")]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist");
    installed.chain([source]).find(|dir| dir.join("index.html").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_own_documents_are_shown_at_this_machine_alone() {
        let (own, named) = (Some(PathBuf::from("own.sqlite")), Some(PathBuf::from("named.sqlite")));
        let shown = |host: &str, documents: &Option<PathBuf>| {
            let documents = documents.clone();
            let args = Serve { port: 0, host: host.to_owned(), ui: None, documents, allow_origin: Vec::new() };
            shown_documents(&args, own.clone())
        };
        for host in ["127.0.0.1", "::1", "localhost"] {
            assert_eq!(shown(host, &None), own);
        }
        for host in ["0.0.0.0", "::", "192.168.0.9", "a-name.example"] {
            assert_eq!(shown(host, &None), None);
            assert_eq!(shown(host, &named), named);
        }
    }
}

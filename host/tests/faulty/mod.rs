//! A server on this machine that serves files as the Hub does, counts what it sends, and misbehaves as it is told.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use hearth_host::store::BlobId;
use serde_json::json;
use sha1::Digest as _;

/// Numbers that follow from a seed (SplitMix64, Steele and others 2014).
#[derive(Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection ends without an answer.
    Drop,
    /// The body ends after so many bytes.
    Cut(usize),
    /// A byte of the body is another.
    Spoil(usize),
    /// After so many bytes nothing more comes.
    Stall(usize),
    /// `Content-Range` names other bytes, and those come.
    OtherRange,
    /// `Content-Range` names another length of the file.
    OtherTotal,
    /// `Content-Length` is more than comes.
    OtherLength,
    /// More bytes come than were asked for.
    Longer,
    /// The whole file comes in place of the range.
    NoRange,
    /// The answer says that it is compressed.
    Compressed,
    /// A status, and how many seconds to wait.
    Status(u16, Option<u64>),
    /// The file is another one from now on.
    Change,
    /// The answer leads to this address.
    Redirect(SocketAddr),
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub range: Option<(u64, u64)>,
    pub authorization: Option<String>,
    pub if_range: Option<String>,
    pub host: String,
}

type Choose = Box<dyn FnMut(&Asked) -> Fault + Send>;

struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    large: bool,
    has_ids: bool,
    has_sidecars: bool,
    version: u64,
    /// The files before each change.
    former: Vec<BTreeMap<String, Vec<u8>>>,
    choose: Choose,
    asked: Vec<Asked>,
    body_bytes: u64,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
    ends: AtomicBool,
}

pub struct Server {
    shared: Arc<Shared>,
    pub address: SocketAddr,
}

/// The repository that it serves.
pub const REPO: &str = "owner/tiny";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Server {
    /// Serves these files as the repository and, each by its name, under `/files/`.
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner {
            files,
            large: true,
            has_ids: true,
            has_sidecars: true,
            version: 0,
            former: Vec::new(),
            choose: Box::new(|_| Fault::None),
            asked: Vec::new(),
            body_bytes: 0,
        };
        let shared =
            Arc::new(Shared { inner: Mutex::new(inner), changed: Condvar::new(), ends: AtomicBool::new(false) });
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.ends.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                // Whoever hangs up in the middle is no concern of the server's.
                std::thread::spawn(move || stream.map(|stream| answer(&shared, stream)));
            }
        });
        Self { shared, address }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn url(&self, file: &str) -> String {
        format!("http://{}/files/{file}", self.address)
    }

    /// Chooses what goes wrong from now on.
    pub fn faults(&self, choose: impl FnMut(&Asked) -> Fault + Send + 'static) {
        self.shared.inner.lock().unwrap().choose = Box::new(choose);
    }

    /// Lists files by git's hash, or by none.
    pub fn list_small(&self, has_ids: bool) {
        let mut inner = self.shared.inner.lock().unwrap();
        (inner.large, inner.has_ids) = (false, has_ids);
    }

    pub fn without_sidecars(&self) {
        self.shared.inner.lock().unwrap().has_sidecars = false;
    }

    /// Makes every file another one.
    pub fn change(&self) {
        change(&mut self.shared.inner.lock().unwrap());
    }

    /// The files as they are now.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.shared.inner.lock().unwrap().files.clone()
    }

    /// Whether a file ever had these bytes.
    pub fn ever_had(&self, file: &str, bytes: &[u8]) -> bool {
        let inner = self.shared.inner.lock().unwrap();
        inner.former.iter().chain([&inner.files]).any(|files| files[file] == bytes)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.inner.lock().unwrap().asked.clone()
    }

    /// How many bytes of files were sent, probes and lists apart.
    pub fn body_bytes(&self) -> u64 {
        self.shared.inner.lock().unwrap().body_bytes
    }

    /// Waits until so many requests for files came.
    pub fn wait_for_requests(&self, count: usize) {
        let inner = self.shared.inner.lock().unwrap();
        drop(self.shared.changed.wait_while(inner, |inner| inner.asked.len() < count).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for somebody to connect.
        let _ = TcpStream::connect(self.address);
    }
}

fn change(inner: &mut Inner) {
    inner.former.push(inner.files.clone());
    inner.version += 1;
    let version = inner.version;
    for bytes in inner.files.values_mut() {
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        bytes.extend(version.to_le_bytes());
    }
}

fn answer(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    // A proxy is asked by the whole address.
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_at(rest.find('/').unwrap_or(0)).1).to_owned();
    let mut asked = Asked { path, range: None, authorization: None, if_range: None, host: String::new() };
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.trim().split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (first, last) = value.trim_start_matches("bytes=").split_once('-').unwrap();
                asked.range = Some((first.parse().unwrap(), last.parse().unwrap()));
            }
            "authorization" => asked.authorization = Some(value.to_owned()),
            "if-range" => asked.if_range = Some(value.to_owned()),
            "host" => asked.host = value.to_owned(),
            _ => {}
        }
    }
    let answer = {
        let mut inner = shared.inner.lock().unwrap();
        inner.asked.push(asked.clone());
        let fault = (inner.choose)(&asked);
        if fault == Fault::Change {
            change(&mut inner);
        }
        let answer = respond(&mut inner, &asked, fault);
        shared.changed.notify_all();
        answer
    };
    let Some((bytes, stalls)) = answer else { return Ok(()) };
    let mut stream = stream;
    stream.write_all(&bytes)?;
    if stalls {
        // Until the other side has had enough.
        let _ = reader.read(&mut [0]);
    }
    Ok(())
}

/// The answer, and whether the connection stays open after it; `None` for no answer at all.
fn respond(inner: &mut Inner, asked: &Asked, fault: Fault) -> Option<(Vec<u8>, bool)> {
    let tag = format!("\"v{}\"", inner.version);
    let simple = |status: u16, headers: &str, body: &[u8]| {
        let head =
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Some(([head.as_bytes(), body].concat(), false))
    };
    match fault {
        Fault::Drop => return None,
        Fault::Status(status, wait_s) => {
            let wait = wait_s.map_or(String::new(), |wait_s| format!("retry-after: {wait_s}\r\n"));
            return simple(status, &wait, b"no");
        }
        Fault::Redirect(to) => return simple(302, &format!("location: http://{to}{}\r\n", asked.path), b""),
        _ => {}
    }
    if asked.path.starts_with("/api/") {
        return simple(200, "", listing(inner).to_string().as_bytes());
    }
    let name = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(of) = name.strip_suffix(".sha256") {
        return match inner.files.get(of).filter(|_| inner.has_sidecars) {
            Some(bytes) => simple(200, "", format!("{}  {of}\n", BlobId::of(bytes)).as_bytes()),
            None => simple(404, "", b"no"),
        };
    }
    let Some(file) = inner.files.get(&name).cloned() else { return simple(404, "", b"no") };
    let total = file.len() as u64;
    let fits = asked.if_range.as_ref().is_none_or(|wanted| *wanted == tag);
    let range = asked.range.filter(|_| fits && fault != Fault::NoRange);
    let Some((first, last)) = range else {
        inner.body_bytes += total;
        return Some(spoilt("200 X", &format!("etag: {tag}\r\n"), &file, fault));
    };
    if first >= total {
        return simple(416, &format!("content-range: bytes */{total}\r\n"), b"");
    }
    let (mut first, mut end) = (first, (last + 1).min(total));
    if (first, end) != (0, 1) {
        inner.body_bytes += end - first;
    }
    if fault == Fault::OtherRange {
        let length = end - first;
        first = if first >= length { first - length } else { (first + length).min(total - 1) };
        end = (first + length).min(total);
    }
    let told = if fault == Fault::OtherTotal { total + 1 } else { total };
    let headers = format!("etag: {tag}\r\ncontent-range: bytes {first}-{}/{told}\r\n", end - 1);
    Some(spoilt("206 X", &headers, &file[first as usize..end as usize], fault))
}

fn spoilt(status: &str, headers: &str, body: &[u8], fault: Fault) -> (Vec<u8>, bool) {
    let mut body = body.to_vec();
    let mut length = body.len();
    let mut extra = "";
    let mut stalls = false;
    match fault {
        Fault::Cut(at) => body.truncate(at % (length + 1)),
        Fault::Stall(at) => {
            body.truncate(at % (length + 1));
            stalls = body.len() < length;
        }
        Fault::Spoil(at) if length > 0 => body[at % length] ^= 0x40,
        Fault::OtherLength => length += 100,
        Fault::Longer => {
            body.extend([7; 100]);
            length += 100;
        }
        Fault::Compressed => extra = "content-encoding: gzip\r\n",
        _ => {}
    }
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}{extra}content-length: {length}\r\n\r\n");
    ([head.as_bytes(), &body].concat(), stalls)
}

fn listing(inner: &Inner) -> serde_json::Value {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| {
        let mut entry = json!({ "rfilename": name });
        if inner.has_ids || inner.large {
            let id = sha1::Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize();
            let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            entry["size"] = json!(bytes.len());
            entry["blobId"] = json!(id);
        }
        if inner.large && !name.ends_with(".json") {
            entry["lfs"] = json!({ "sha256": BlobId::of(bytes).to_string(), "size": bytes.len(), "pointerSize": 134 });
        }
        entry
    };
    json!({ "id": REPO, "sha": COMMIT, "siblings": inner.files.iter().map(sibling).collect::<Vec<_>>() })
}

/// A model of three files.
pub fn model(seed: u64, weights_bytes: usize) -> BTreeMap<String, Vec<u8>> {
    let mut chance = Chance(seed);
    BTreeMap::from([
        ("config.json".to_owned(), b"{}".to_vec()),
        ("tokenizer.json".to_owned(), chance.bytes(weights_bytes / 10)),
        ("model.safetensors".to_owned(), chance.bytes(weights_bytes)),
    ])
}

//! What there is at the source: which files, how long they are, and by which hash they are checked.

use hearth_engine::file::gguf_name;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Response, StatusCode, Url, header::RANGE};
use serde::Deserialize;

use super::{
    DownloadError, Result, Source,
    choose::choose,
    fetch::Job,
    network::{Fault, content_range, refusal, shown, strong_tag},
    partial::{Check, hex},
    source::file_of,
    transfer::Tries,
};
use crate::store::BlobId;

/// The longest list of files, or sidecar, that is read.
const LISTING_BYTES_MAX: usize = 32 << 20;
const REDIRECTS_MAX: usize = 5;

/// What is to be fetched.
pub(super) struct Plan {
    pub name: String,
    pub revision: String,
    pub files: Vec<RemoteFile>,
}

/// One file at its source.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub path: String,
    /// Where it is, the mirrors last.
    pub urls: Vec<Url>,
    pub bytes: u64,
    pub check: Check,
    /// What tells this state of it from another.
    pub identity: String,
    /// Whether a list promised this, so that looking again would not change it.
    pub is_listed: bool,
    /// The blob that the store had of it at the last time.
    pub before: Option<BlobId>,
}

impl RemoteFile {
    /// The name of its unfinished bytes: the same wherever they come from, if their hash is known.
    pub fn key(&self) -> String {
        match &self.check {
            Check::Sha256(blob) => format!("sha256-{blob}"),
            _ => format!("url-{}", BlobId::of(self.urls.first().map_or("", Url::as_str).as_bytes())),
        }
    }
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    sha: Option<String>,
    siblings: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "blobId")]
    blob_id: Option<String>,
    #[serde(default)]
    lfs: Option<Large>,
}

#[derive(Deserialize)]
struct Large {
    sha256: String,
    size: u64,
}

pub(super) async fn plan(job: &Job<'_>, source: &Source) -> Result<Plan> {
    match source {
        Source::Hub { repo, revision, pattern } => hub(job, repo, revision, pattern.as_deref()).await,
        Source::Urls(urls) => of_urls(job, urls).await,
    }
}

async fn hub(job: &Job<'_>, repo: &str, revision: &str, pattern: Option<&str>) -> Result<Plan> {
    let encoded = encode(revision, SEGMENT);
    let lists = job.at_bases(&format!("api/models/{repo}/revision/{encoded}?blobs=true"))?;
    let text = insist_on(job, &lists, "the list of files").await?;
    let url = lists.first().map(shown).unwrap_or_default();
    let bad = |reason: String| DownloadError::BadListing { url: url.clone(), reason };
    let listing: Listing = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let names: Vec<&str> = listing.siblings.iter().map(|listed| listed.rfilename.as_str()).collect();
    let chosen = choose(repo, &names, pattern)?;
    let is_commit = |sha: &String| sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = listing.sha.clone().filter(is_commit).unwrap_or_else(|| revision.to_owned());
    let mut files = Vec::new();
    for listed in listing.siblings.iter().filter(|listed| chosen.contains(&listed.rfilename.as_str())) {
        let path = encode(&listed.rfilename, PATH);
        let urls = job.at_bases(&format!("{repo}/resolve/{}/{path}", encode(&commit, SEGMENT)))?;
        let (bytes, check) = match (&listed.lfs, listed.size, listed.blob_id.as_deref().and_then(git)) {
            (Some(large), ..) => {
                let blob = large.sha256.parse().map_err(|_| bad(format!("{:?} is no SHA-256", large.sha256)))?;
                (Some(large.size), Check::Sha256(blob))
            }
            (None, Some(bytes), Some(id)) => (Some(bytes), Check::Git(id)),
            (None, bytes, _) => (bytes, Check::Nothing),
        };
        let mut file = RemoteFile {
            path: listed.rfilename.clone(),
            identity: identity(&check, None),
            urls,
            bytes: bytes.unwrap_or(0),
            check,
            is_listed: true,
            before: None,
        };
        if check == Check::Nothing || bytes.is_none() {
            look(job, &mut file, None).await?;
        }
        files.push(file);
    }
    let own = repo.rsplit('/').next().unwrap_or(repo);
    let gguf = files.iter().find(|file| file.path.to_ascii_lowercase().ends_with(".gguf"));
    let name = gguf.map_or_else(|| own.to_owned(), |file| gguf_name(&file.path));
    Ok(Plan { name, revision: commit, files })
}

async fn of_urls(job: &Job<'_>, urls: &[String]) -> Result<Plan> {
    let mut files = Vec::new();
    for url in urls {
        let bad = |reason: String| DownloadError::BadSource { what: url.clone(), reason };
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        let path = file_of(&parsed).ok_or_else(|| bad("it names no file".to_owned()))?;
        let mut file = RemoteFile {
            path,
            urls: vec![parsed],
            bytes: 0,
            check: Check::Nothing,
            identity: String::new(),
            is_listed: false,
            before: None,
        };
        let given = job.options.sha256.filter(|_| urls.len() == 1);
        look(job, &mut file, given).await?;
        files.push(file);
    }
    let first = files.first().map(|file| (file.path.clone(), file.urls.first().cloned()));
    let (path, url) = first.unwrap_or_default();
    // A model in several files has the name of their folder.
    let folder = url.as_ref().and_then(Url::path_segments).and_then(|mut parts| parts.nth_back(1));
    let name = match folder.filter(|folder| !folder.is_empty()) {
        Some(folder) if !path.to_ascii_lowercase().ends_with(".gguf") => folder.to_owned(),
        _ => gguf_name(&path),
    };
    Ok(Plan { name, revision: String::new(), files })
}

/// Looks at a file at its source: its length, and by which hash it can be checked.
pub(super) async fn look(job: &Job<'_>, file: &mut RemoteFile, given: Option<BlobId>) -> Result<()> {
    let mut tries = Tries::new(&file.urls);
    let seen = loop {
        let (url, _) = tries.url().map_err(|fault| own(fault, &file.path))?;
        match see(job, url).await {
            Ok(seen) => break seen,
            Err(fault) => tries.after(job, &file.path, fault).await.map_err(|fault| own(fault, &file.path))?,
        }
    };
    let check = match (given, seen.check) {
        (Some(blob), _) => Check::Sha256(blob),
        (None, Check::Nothing) => sidecar(job, file).await?.map_or(Check::Nothing, Check::Sha256),
        (None, check) => check,
    };
    if check == Check::Nothing && !job.options.allows_unverified {
        return Err(DownloadError::NoHash { file: file.path.clone() });
    }
    (file.bytes, file.check) = (seen.bytes, check);
    file.identity = identity(&check, seen.tag.as_deref());
    Ok(())
}

struct Seen {
    bytes: u64,
    check: Check,
    tag: Option<String>,
}

/// Asks for one byte, and reads what the answers on the way there say about the file.
async fn see(job: &Job<'_>, url: &Url) -> std::result::Result<Seen, Fault> {
    let mut url = url.clone();
    let (mut linked_bytes, mut check) = (None, Check::Nothing);
    for _ in 0..=REDIRECTS_MAX {
        let response = job.network.send(job.network.get_here(&url).header(RANGE, "bytes=0-0")).await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        linked_bytes = linked_bytes.or_else(|| header("x-linked-size").and_then(|bytes| bytes.parse().ok()));
        if check == Check::Nothing {
            let tag = header("x-linked-etag").or_else(|| header("x-repo-commit").and(header("etag")));
            check = tag.map_or(Check::Nothing, check_of_tag);
        }
        if response.status().is_redirection() {
            let next = header("location").and_then(|place| url.join(place).ok());
            url = next.ok_or_else(|| Fault::passing("the answer leads nowhere"))?;
            continue;
        }
        let is_empty = response.status() == StatusCode::RANGE_NOT_SATISFIABLE
            && content_range(&response).is_some_and(|range| range.total == Some(0));
        if !is_empty && let Some(refusal) = refusal(&response) {
            return Err(refusal);
        }
        let no_length = || Fault::Lasting(DownloadError::NoLength { url: shown(&url) });
        let bytes = linked_bytes.or_else(|| length(&response)).ok_or_else(no_length)?;
        return Ok(Seen { bytes, check, tag: strong_tag(&response) });
    }
    Err(Fault::passing("the answers lead in circles"))
}

/// The whole file's length, by the answer to a request for its first byte.
fn length(response: &Response) -> Option<u64> {
    match response.status() {
        StatusCode::OK => response.headers().get("content-length")?.to_str().ok()?.parse().ok(),
        _ => content_range(response)?.total,
    }
}

/// The hash that lies beside a file.
async fn sidecar(job: &Job<'_>, file: &RemoteFile) -> Result<Option<BlobId>> {
    let beside = |url: &Url| {
        let mut url = url.clone();
        url.set_path(&format!("{}.sha256", url.path()));
        url
    };
    let urls: Vec<Url> = file.urls.iter().map(beside).collect();
    match insist_on(job, &urls, &format!("{}.sha256", file.path)).await {
        Ok(text) => Ok(hash_in(&String::from_utf8_lossy(&text), &file.path)),
        Err(DownloadError::NotFound { .. } | DownloadError::Forbidden { .. } | DownloadError::Refused { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The hash of a file in the words of `sha256sum`, or alone.
fn hash_in(text: &str, file: &str) -> Option<BlobId> {
    let mut lines = text.lines().filter_map(|line| {
        let (hash, name) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        Some((hash.parse::<BlobId>().ok()?, name.trim_start_matches([' ', '*', '\t'])))
    });
    lines
        .find(|(_, name)| name.is_empty() || *name == file || name.ends_with(&format!("/{file}")))
        .map(|(hash, _)| hash)
}

/// Reads something short, with as many attempts as it takes.
async fn insist_on(job: &Job<'_>, urls: &[Url], words: &str) -> Result<Vec<u8>> {
    let mut tries = Tries::new(urls);
    loop {
        let (url, _) = tries.url().map_err(|fault| own(fault, words))?;
        match read(job, url).await {
            Ok(bytes) => return Ok(bytes),
            Err(fault) => tries.after(job, words, fault).await.map_err(|fault| own(fault, words))?,
        }
    }
}

async fn read(job: &Job<'_>, url: &Url) -> std::result::Result<Vec<u8>, Fault> {
    let mut response = job.network.send(job.network.get(url)).await?;
    if let Some(refusal) = refusal(&response) {
        return Err(refusal);
    }
    let told = response.content_length();
    let mut bytes = Vec::new();
    while let Some(piece) = job.network.piece(&mut response).await? {
        bytes.extend(piece);
        if bytes.len() > LISTING_BYTES_MAX {
            let reason = format!("it is longer than {LISTING_BYTES_MAX} bytes");
            return Err(Fault::Lasting(DownloadError::BadListing { url: shown(url), reason }));
        }
    }
    if told.is_some_and(|told| told != bytes.len() as u64) {
        return Err(Fault::passing("the connection ended early"));
    }
    Ok(bytes)
}

/// What a fault means where nothing is being changed or ranged.
pub(super) fn own(fault: Fault, file: &str) -> DownloadError {
    match fault {
        Fault::Lasting(error) | Fault::Own(error) => error,
        Fault::Passing { reason, .. } => DownloadError::GaveUp { file: file.to_owned(), reason, attempts: 1 },
        Fault::Changed(reason) => DownloadError::KeepsChanging { file: file.to_owned(), reason },
        Fault::NoRanges => DownloadError::GaveUp { file: file.to_owned(), reason: "no ranges".to_owned(), attempts: 1 },
    }
}

/// The Hub's tag of a file is its hash: SHA-256 of what is large, git's of what is not.
fn check_of_tag(tag: &str) -> Check {
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    match tag.parse() {
        Ok(blob) => Check::Sha256(blob),
        Err(_) => git(tag).map_or(Check::Nothing, Check::Git),
    }
}

fn git(text: &str) -> Option<[u8; 20]> {
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    let mut id = [0; 20];
    for (index, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(id)
}

fn identity(check: &Check, tag: Option<&str>) -> String {
    match check {
        Check::Sha256(blob) => format!("sha256:{blob}"),
        Check::Git(id) => format!("git:{}", hex(id)),
        Check::Nothing => format!("tag:{}", tag.unwrap_or_default()),
    }
}

/// What is spelled as it is in a path, with and without slashes.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

fn encode(text: &str, plain: &'static AsciiSet) -> String {
    utf8_percent_encode(text, plain).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_read_in_each_of_its_forms() {
        let (id, other) = (BlobId::of(b"x"), BlobId::of(b"y"));
        for text in [
            format!("{id}\n"),
            format!("{id}  m.gguf\n"),
            format!("{id} *models/m.gguf"),
            format!("{other}  n.gguf\n{id}  m.gguf\n"),
        ] {
            assert_eq!(hash_in(&text, "m.gguf"), Some(id), "{text:?}");
        }
        for text in ["", "<html>not found</html>", &format!("{id}  n.gguf"), &id.to_string()[1..]] {
            assert_eq!(hash_in(text, "m.gguf"), None, "{text:?}");
        }
    }

    #[test]
    fn the_hubs_tags_are_hashes() {
        let id = BlobId::of(b"x");
        assert_eq!(check_of_tag(&format!("\"{id}\"")), Check::Sha256(id));
        assert_eq!(check_of_tag(&format!("W/\"{}\"", "0f".repeat(20))), Check::Git([15; 20]));
        for tag in ["\"5d8c72a5edda8d6a:3239\"", "\"\"", "é", &"é".repeat(20)] {
            assert_eq!(check_of_tag(tag), Check::Nothing, "{tag}");
        }
    }
}

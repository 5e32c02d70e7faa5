use super::*;
use crate::model::{Addr, Endpoint, Proto, Published, Reads, Wants};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// Response of Docker Engine 20.10.
const DOCKER: &str = r#"[{"Id":"446601bac6874bb39e77dcc826df656476489b8c40c3cf416f7a272ca9989c35","Names":["/web"],
"Image":"box","ImageID":"sha256:fc","Command":"/bin/busybox httpd -f -p 80","Created":1795560889,
"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":9000,"Type":"tcp"}],
"Labels":{"io.kubernetes.pod.name":"web-0","io.kubernetes.pod.uid":"u-1"},"State":"running",
"NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"IPAddress":"172.17.0.2","GlobalIPv6Address":""},"none":null}},
"Mounts":[]}]"#;

#[test]
fn response_gives_names_ports_addresses_and_pods() {
    let (all, odd) = response::containers(DOCKER.as_bytes(), ContainerEngine::Docker).unwrap();
    assert_eq!(odd, 0);
    let [c] = &all[..] else { panic!("{all:?}") };
    assert_eq!((c.label(), c.short_id(), c.image.as_deref()), ("web", "446601bac687", Some("box")));
    let published_on = |addr: &str| Published {
        proto: Proto::Tcp,
        host: Endpoint::new(addr.parse::<Addr>().unwrap(), 8080),
        port: 80,
    };
    let mut want = vec![published_on("0.0.0.0"), published_on("::")];
    want.sort_unstable();
    assert_eq!(c.ports, want, "an exposed port is not published");
    assert_eq!(c.addrs, ["172.17.0.2".parse::<Addr>().unwrap()]);
    assert_eq!(c.pod.as_ref().map(crate::model::Pod::label), Some("web-0"));

    let (mut all, _) =
        response::containers(br#"[{"Id":"a","Names":null,"Ports":null}]"#, ContainerEngine::Podman).unwrap();
    assert_eq!((all[0].name.as_ref(), all[0].ports.len()), (None, 0));
    response::add_pods(br#"[{"Id":"a","Pod":"p","PodName":"site"},{"Id":"b","Pod":""}]"#, &mut all);
    assert_eq!(all[0].pod.as_ref().and_then(|p| p.name.as_deref()), Some("site"));
    for junk in ["", "{}", "[1]", "[{\"Id\":7}]"] {
        assert!(response::containers(junk.as_bytes(), ContainerEngine::Docker).is_err(), "{junk}");
    }
}

#[test]
fn body_is_complete_or_more_is_needed() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[{}\r\n1;x=y\r\n]\r\n0\r\n\r\n";
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    for (raw, want) in [(&chunked[..], &b"[{}]"[..]), (sized, b"[]")] {
        assert_eq!(http::body(raw, false).unwrap().as_deref(), Some(want));
        // The empty line after the last chunk is optional.
        for cut in 0..raw.len() - 2 {
            let got = http::body(&raw[..cut], false).unwrap();
            assert!(got.is_none() || got.as_deref() == Some(want), "{cut}: {got:?}");
        }
    }
    let open = b"HTTP/1.0 200 OK\r\n\r\n[]";
    assert_eq!(http::body(open, false).unwrap(), None);
    assert_eq!(http::body(open, true).unwrap().as_deref(), Some(&b"[]"[..]));
    for wrong in [
        &b"SSH-2.0-x\r\n\r\n"[..],
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
    ] {
        assert!(http::body(wrong, true).is_err(), "{}", String::from_utf8_lossy(wrong));
    }
}

fn trusted(path: PathBuf) -> EngineSocket {
    EngineSocket { path, owner: None }
}

/// Serves one connection: reads the request, writes this response, returns the request.
fn serve(path: &Path, response: &'static [u8]) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let n = stream.read(&mut request).unwrap();
        stream.write_all(response).unwrap();
        String::from_utf8_lossy(&request[..n]).into_owned()
    })
}

#[test]
fn engines_are_queried_in_order_and_one_failure_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let socket = |name: &str| dir.path().join(name);
    let first = serve(&socket("a.sock"), b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/one\"]}]");
    let second = serve(
        &socket("b.sock"),
        b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/not\"]},{\"Id\":\"b\"}]",
    );
    let broken = serve(&socket("c.sock"), b"HTTP/1.1 500 Oh\r\n\r\n");
    let queries = EngineQueries::disabled();
    query_all(&queries.0, ["a.sock", "none.sock", "c.sock", "b.sock"].map(|n| trusted(socket(n))).into());
    let names: Vec<_> = queries.containers().iter().map(|c| (c.id.clone(), c.name.clone())).collect();
    assert_eq!(names, [("a".into(), Some("one".into())), ("b".into(), None)]);
    assert_eq!(queries.lock().errors().map(|e| e.2).collect::<Vec<_>>(), ["HTTP status 500"]);
    let request = first.join().unwrap();
    assert!(request.starts_with("GET /containers/json HTTP/1.1\r\n"), "{request}");
    drop((second.join(), broken.join()));
}

#[test]
fn odd_entry_loses_only_itself() {
    let body = br#"[{"Id":7},{"Id":"a","Names":["/web/db","/db"],"Ports":[{"PublicPort":"x"},
        {"PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],"NetworkSettings":{"Networks":{"x":7,"y":{"IPAddress":"10.0.0.2"}}}}]"#;
    let (all, odd) = response::containers(body, ContainerEngine::Docker).unwrap();
    assert_eq!((all.len(), odd), (1, 1));
    assert_eq!(all[0].name.as_deref(), Some("db"), "not the alias of a link");
    assert_eq!((all[0].ports.len(), all[0].addrs.len()), (1, 1));
}

#[test]
fn silent_engine_does_not_delay_another() {
    let dir = tempfile::tempdir().unwrap();
    let socket = |name: &str| dir.path().join(name);
    let _silent = UnixListener::bind(socket("a.sock")).unwrap();
    let _silent_too = UnixListener::bind(socket("b.sock")).unwrap();
    let answers = serve(&socket("c.sock"), b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/one\"]}]");
    let queries = EngineQueries::disabled();
    let all = ["a.sock", "b.sock", "c.sock"].map(|n| trusted(socket(n)));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let round = scope.spawn(|| query_all(&queries.0, all.into()));
        // The answer is published before the others time out.
        while queries.containers().is_empty() && !round.is_finished() {
            std::thread::yield_now();
        }
        assert!(!queries.lock().answered, "published at the end of the round");
    });
    assert!(begin.elapsed() < 2 * TIMEOUT, "one after the other");
    assert_eq!(queries.containers().len(), 1);
    let errors: Vec<_> = queries.lock().errors().map(|e| e.1).collect();
    assert_eq!(errors, [io::ErrorKind::TimedOut; 2]);
    drop(answers.join());
}

#[test]
fn silent_engine_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&at).unwrap();
    let e = http::get(&trusted(at), "/", Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    drop(listener);
}

struct EmptySource;

impl Source for EmptySource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let info =
            crate::model::BackendInfo { backend: crate::model::Backend::Script, reason: String::new() };
        Ok(Sample::empty(crate::model::Stamp::default(), "x".into(), Arc::new(info), wants.clone()))
    }
}

#[test]
fn engines_are_queried_again_when_a_container_starts_or_exits() {
    let id = |digit: &str| digit.repeat(64);
    let queries = EngineQueries::disabled();
    queries.lock().containers = Arc::from([Container::new(ContainerEngine::Docker, &id("a"))]);
    let mut source = ContainerNames::new(Box::new(EmptySource), queries.clone());
    let mut poll = |all: &[(&str, String, String)]| {
        let wants = Wants::default().with(Reads::PROCESSES);
        let mut sample = EmptySource.sample(&wants).unwrap();
        let process = |(comm, cmdline, cgroup): &(&str, String, String)| Process {
            info: Arc::new(crate::model::ProcInfo {
                pid: 1,
                ppid: 0,
                start_ns: 0,
                comm: (*comm).into(),
                cmdline: cmdline.as_str().into(),
                uid: 0,
                cgroup: Some(cgroup.as_str().into()),
            }),
            fds: Err(crate::model::Missing::NotRead),
            fds_hidden: None,
            fd_targets: Arc::from([]),
            halted: None,
            freezer: None,
        };
        sample.processes = all.iter().map(process).collect();
        source.fill(&mut sample);
        let names: Vec<String> = sample.containers.iter().map(|c| c.label().to_owned()).collect();
        (std::mem::take(&mut queries.lock().requested), names)
    };
    let known = ("nginx", String::new(), format!("/docker/{}", id("a")));
    let fresh = ("nginx", String::new(), format!("/docker/{}", id("b")));
    let monitor = ("conmon", format!("conmon -c {} -n site", id("c")), "/".to_owned());
    let a = "a".repeat(12);
    assert_eq!(poll(std::slice::from_ref(&known)), (false, vec![a.clone()]), "known to the engine");
    assert!(poll(&[known.clone(), fresh.clone()]).0, "new");
    assert!(!poll(&[known.clone(), fresh.clone()]).0, "just queried");
    // Identified by Podman's monitor, without a cgroup.
    let both = [known, fresh.clone(), monitor.clone()];
    assert_eq!(poll(&both), (true, vec![a, "site".to_owned()]), "its ports are unknown");
    assert!(poll(&[fresh, monitor]).0, "exited: its ports are no longer published");
}

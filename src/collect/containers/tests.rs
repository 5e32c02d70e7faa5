use super::*;
use crate::model::{Addr, Endpoint, Proto, Published, Reads, Wants};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

/// As Docker Engine 20.10 says it.
const DOCKER: &str = r#"[{"Id":"446601bac6874bb39e77dcc826df656476489b8c40c3cf416f7a272ca9989c35","Names":["/web"],
"Image":"box","ImageID":"sha256:fc","Command":"/bin/busybox httpd -f -p 80","Created":1795560889,
"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":9000,"Type":"tcp"}],
"Labels":{"io.kubernetes.pod.name":"web-0","io.kubernetes.pod.uid":"u-1"},"State":"running",
"NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"IPAddress":"172.17.0.2","GlobalIPv6Address":""},"none":null}},
"Mounts":[]}]"#;

#[test]
fn an_answer_is_read() {
    let all = answer::containers(DOCKER.as_bytes(), ContainerEngine::Docker).unwrap();
    let [c] = &all[..] else { panic!("{all:?}") };
    assert_eq!((c.label(), c.short_id(), c.image.as_deref()), ("web", "446601bac687", Some("box")));
    let at = |addr: &str| Published {
        proto: Proto::Tcp,
        host: Endpoint::new(addr.parse::<Addr>().unwrap(), 8080),
        port: 80,
    };
    let mut want = vec![at("0.0.0.0"), at("::")];
    want.sort_unstable();
    assert_eq!(c.ports, want, "what is only exposed is not published");
    assert_eq!(c.addrs, ["172.17.0.2".parse::<Addr>().unwrap()]);
    assert_eq!(c.pod.as_ref().map(crate::model::Pod::label), Some("web-0"));

    let mut all =
        answer::containers(br#"[{"Id":"a","Names":null,"Ports":null}]"#, ContainerEngine::Podman).unwrap();
    assert_eq!((all[0].name.as_ref(), all[0].ports.len()), (None, 0));
    answer::add_pods(br#"[{"Id":"a","Pod":"p","PodName":"site"},{"Id":"b","Pod":""}]"#, &mut all);
    assert_eq!(all[0].pod.as_ref().and_then(|p| p.name.as_deref()), Some("site"));
    for junk in ["", "{}", "[1]", "[{\"Id\":7}]"] {
        assert!(answer::containers(junk.as_bytes(), ContainerEngine::Docker).is_err(), "{junk}");
    }
}

#[test]
fn a_body_is_whole_or_more_must_come() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[{}\r\n1;x=y\r\n]\r\n0\r\n\r\n";
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    for (raw, want) in [(&chunked[..], &b"[{}]"[..]), (sized, b"[]")] {
        assert_eq!(http::body(raw, false).unwrap().as_deref(), Some(want));
        // The blank line behind the last chunk says nothing more.
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

/// Answers one connection with this, after having read the question.
fn serve(at: &Path, answer: &'static [u8]) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(at).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        let n = stream.read(&mut asked).unwrap();
        stream.write_all(answer).unwrap();
        String::from_utf8_lossy(&asked[..n]).into_owned()
    })
}

#[test]
fn engines_are_asked_in_order_and_one_that_fails_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let first = serve(&at("a.sock"), b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/one\"]}]");
    let second =
        serve(&at("b.sock"), b"HTTP/1.1 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/not\"]},{\"Id\":\"b\"}]");
    let broken = serve(&at("c.sock"), b"HTTP/1.1 500 Oh\r\n\r\n");
    let (told, refused) = ask_all(&[at("a.sock"), at("none.sock"), at("c.sock"), at("b.sock")]);
    let names: Vec<_> = told.iter().map(|c| (&*c.id, c.name.as_deref())).collect();
    assert_eq!(names, [("a", Some("one")), ("b", None)]);
    assert_eq!(refused.iter().map(|r| r.2.as_str()).collect::<Vec<_>>(), ["it answers 500"]);
    let asked = first.join().unwrap();
    assert!(asked.starts_with("GET /containers/json HTTP/1.1\r\n"), "{asked}");
    drop((second.join(), broken.join()));
}

#[test]
fn an_engine_that_says_nothing_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&at).unwrap();
    let e = http::get(&at, "/", Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    drop(listener);
}

struct Nothing;

impl Source for Nothing {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let info = crate::model::BackendInfo { backend: crate::model::Backend::Script, why: String::new() };
        Ok(Sample::empty(crate::model::Stamp::default(), "x".into(), Arc::new(info), wants.clone()))
    }
}

#[test]
fn asked_again_when_a_container_comes_or_goes() {
    let id = |digit: &str| digit.repeat(64);
    let asked = Asked::nobody();
    asked.lock().told = Arc::from([Container::new(ContainerEngine::Docker, &id("a"))]);
    let mut named = Named::new(Box::new(Nothing), asked.clone());
    let mut poll = |all: &[(&str, String, String)]| {
        let wants = Wants::default().with(Reads::PROCESSES);
        let mut sample = Nothing.sample(&wants).unwrap();
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
            places: Arc::from([]),
        };
        sample.processes = all.iter().map(process).collect();
        named.fill(&mut sample);
        let names: Vec<String> = sample.containers.iter().map(|c| c.label().to_owned()).collect();
        (std::mem::take(&mut asked.lock().ask), names)
    };
    let known = ("nginx", String::new(), format!("/docker/{}", id("a")));
    let fresh = ("nginx", String::new(), format!("/docker/{}", id("b")));
    let monitor = ("conmon", format!("conmon -c {} -n site", id("c")), "/".to_owned());
    let a = "a".repeat(12);
    assert_eq!(poll(std::slice::from_ref(&known)), (false, vec![a.clone()]), "the engine named it");
    assert!(poll(&[known.clone(), fresh.clone()]).0, "a new one");
    assert!(!poll(&[known.clone(), fresh.clone()]).0, "asked a moment ago");
    // One that Podman's monitor tells, without a control group.
    let both = [known, fresh.clone(), monitor.clone()];
    assert_eq!(poll(&both), (true, vec![a, "site".to_owned()]), "its ports are not known");
    assert!(poll(&[fresh, monitor]).0, "one went: it may publish nothing any more");
}

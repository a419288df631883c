//! The API against requests that no client of ours would send [C6]: refused by name, nothing changed.

use anyhow::{Result, ensure};
use tests::api::{raw, request};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Lab, scenario};

fn lone_host(lab: &Lab) -> Result<Vswitchd> {
    Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })
}

#[test]
fn bad_requests_are_refused_by_name_and_change_nothing() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let before = daemon.rows(&["network", "ls"])?;
        let no_such = format!("{{\"network\":\"NOSUCH\",\"name\":\"a\",\"pid\":{}}}", std::process::id());
        let cases: &[(&str, &str, &str, u16, &str)] = &[
            ("POST", "/v1/networks", "{\"name\":\"A\",\"colour\":\"red\"}", 400, "colour"),
            ("POST", "/v1/networks", "{\"name\":7}", 400, "name"),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"mtu\":\"big\"}", 400, "mtu"),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"mtu\":-1}", 400, "mtu"),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"driver\":\"warp\"}", 400, "warp"),
            ("POST", "/v1/networks", "{\"name\":\"A/../B\"}", 400, "A/../B"),
            ("POST", "/v1/networks", "{\"name\":\"\"}", 400, ""),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"options\":{\"no.such\":\"x\"}}", 400, "no.such"),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"subnets\":[{\"subnet\":\"10.0.0.1/24\"}]}", 400, "10.0.0.0/24"),
            ("POST", "/v1/networks", "{\"name\":\"A\",\"subnets\":[{\"subnet\":\"300.0.0.0/24\"}]}", 400, ""),
            ("POST", "/v1/networks", "", 400, ""),
            ("POST", "/v1/networks", "{\"name\":", 400, ""),
            ("POST", "/v1/networks", "[]", 400, ""),
            ("POST", "/v1/ports", "{\"network\":\"bridge\",\"name\":\"a\",\"pid\":-4}", 400, "pid"),
            ("POST", "/v1/ports", "{\"network\":\"bridge\",\"name\":\"a\",\"pid\":4194304999}", 400, ""),
            ("POST", "/v1/ports", "{\"network\":\"bridge\",\"name\":\"a\"}", 400, ""),
            (
                "POST",
                "/v1/ports",
                "{\"network\":\"bridge\",\"name\":\"a\",\"netns\":\"/etc/passwd\"}",
                400,
                "/etc/passwd",
            ),
            ("POST", "/v1/ports", &no_such, 404, "NOSUCH"),
            ("GET", "/v1/networks/NOSUCH", "", 404, "NOSUCH"),
            ("DELETE", "/v1/networks/bridge", "", 409, "bridge"),
            ("DELETE", "/v1/ports/nobody", "", 404, "nobody"),
            ("GET", "/v1/nothing", "", 404, ""),
        ];
        for (method, path, body, status, named) in cases {
            let (got, answer) = request(daemon.socket(), method, path, body.as_bytes())?;
            ensure!(got == *status, "{method} {path} {body}: {got}, not {status}: {answer}");
            let text = answer["error"].as_str().unwrap_or_default();
            ensure!(!text.is_empty() && answer.to_string().contains(named), "{method} {path} {body}: {answer}");
        }
        daemon.check_alive()?;
        ensure!(daemon.rows(&["network", "ls"])? == before);
        ensure!(daemon.rows(&["ports"])?.is_empty());
        Ok(())
    });
}

#[test]
fn what_is_not_http_or_has_no_end_harms_nobody() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let huge = [
            b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n".as_slice(),
            &vec![b'a'; 32 << 20],
        ]
        .concat();
        for bytes in [b"\x16\x03\x01\x02\x00".as_slice(), b"GET\r\n\r\n", b"\r\n", &[0xff; 70_000], &huge] {
            let said = raw(daemon.socket(), bytes)?;
            let said = String::from_utf8_lossy(&said[..said.len().min(12)]).into_owned();
            ensure!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        }
        daemon.check_alive()?;
        daemon.vsctl(&["show"]).map(drop)
    });
}

#[test]
fn a_socket_that_nobody_serves_is_named_with_the_remedy() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        daemon.stop()?;
        let said = daemon.vsctl_refused(&["show"])?;
        ensure!(said.contains(&daemon.socket().display().to_string()) && said.contains("--socket"), "{said}");
        Ok(())
    });
}

#[test]
fn the_socket_is_for_root_and_its_group() {
    use std::os::unix::fs::PermissionsExt;
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        let mode = std::fs::metadata(daemon.socket())?.permissions().mode() & 0o777;
        ensure!(mode == 0o660, "mode {mode:o}");
        Ok(())
    });
}

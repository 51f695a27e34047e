//! A real HAProxy that ends TLS in front of central, as IT would set it up in a DMZ: it asks agents for
//! their certificates, throws away what anybody says in `Client-Cert`, says there itself what it was shown
//! (RFC 9440), and proves itself to central with a certificate that central issued to it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::debian;
use crate::processes::{Central, PROXY, Running, free_address, succeeded, wait_for};

/// HAProxy, which ends with this handle.
#[derive(Debug)]
pub struct HaProxy {
    address: SocketAddr,
    _running: Running,
}

impl HaProxy {
    /// Starts one in front of this central, in a folder of its own.
    pub fn start(sandbox: &Path, central: &Central) -> Self {
        let folder = sandbox.join("haproxy");
        std::fs::create_dir_all(&folder).expect("make the proxy's folder");
        let out = folder.display().to_string();
        succeeded(&central.cli(&[
            "cert",
            "issue-proxy",
            PROXY,
            "--name",
            "127.0.0.1",
            "--out",
            &out,
        ]));
        let read = |path: &Path| std::fs::read_to_string(path).expect("read PEM");
        let own = folder.join(PROXY);
        let both = read(&own.with_extension("pem")) + &read(&own.with_extension("key"));
        let (pem, trust) = (folder.join("both.pem"), folder.join("trust.pem"));
        std::fs::write(&pem, both).expect("write PEM");
        std::fs::write(&trust, read(&central.root_certificate())).expect("write PEM");
        let address = free_address();
        let config = folder.join("haproxy.cfg");
        let text = configuration(address, central.address, &pem, &trust);
        std::fs::write(&config, text).expect("write haproxy.cfg");
        let mut command = Command::new(debian::program(&["/usr/sbin/haproxy"], "haproxy"));
        command.arg("-db").arg("-f").arg(&config);
        let (running, _) = Running::start_unready(&mut command, &folder.join("haproxy.log"));
        wait_for("haproxy to listen", || {
            std::net::TcpStream::connect(address).ok()
        });
        Self {
            address,
            _running: running,
        }
    }

    /// Where agents find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn configuration(listen: SocketAddr, central: SocketAddr, pem: &Path, trust: &Path) -> String {
    let (pem, trust) = (pem.display(), trust.display());
    format!(
        "global
    maxconn 512
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-server-options ssl-min-ver TLSv1.3

defaults
    mode http
    timeout connect 10s
    timeout client 90s
    timeout server 90s

frontend agents
    # Whose dates are over may still ask for the next one: central decides.
    bind {listen} ssl crt {pem} ca-file {trust} verify optional crt-ignore-err all
    http-request del-header Client-Cert
    http-request del-header Client-Cert-Chain
    http-request set-header Client-Cert :%[ssl_c_der,base64]: if {{ ssl_c_used }}
    default_backend central

backend central
    server central {central} ssl crt {pem} ca-file {trust} verify required
"
    )
}

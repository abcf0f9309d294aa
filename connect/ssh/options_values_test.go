//go:build unix

package ssh

import (
	"os/exec"
	"strings"
	"testing"
)

// An option is refused where ssh refuses it: whoever misspells a value means something else than the
// default. The ssh program is the judge.
func TestValuesThatSSHRefuses(t *testing.T) {
	options := []string{
		"Port=0", "Port=65536", "Port=22", "ConnectionAttempts=0", "ConnectionAttempts=x", "ConnectionAttempts=-1", "ConnectionAttempts=2",
		"ServerAliveCountMax=0", "ServerAliveCountMax=x", "NumberOfPasswordPrompts=0", "RequiredRSASize=x", "CanonicalizeMaxDots=x",
		"Compression=maybe", "Compression=6", "Compression=yes", "Compression=true", "TCPKeepAlive=maybe", "TCPKeepAlive=False",
		"IPQoS=nosuch", "IPQoS=af21 cs1 x", "IPQoS=256", "IPQoS=0x10", "IPQoS=none", "IPQoS=lowdelay throughput", "IPQoS=AF21", "IPQoS=-1",
		"LogLevel=LOUD", "LogLevel=debug4", "LogLevel=debug3", "LogLevel=QUIET", "SyslogFacility=nosuch", "SyslogFacility=LOCAL7",
		"FingerprintHash=crc", "FingerprintHash=md5", "FingerprintHash=SHA256", "VisualHostKey=maybe", "UpdateHostKeys=maybe", "UpdateHostKeys=ask",
		"GatewayPorts=maybe", "ExitOnForwardFailure=x", "ControlMaster=maybe", "ControlMaster=autoask", "RequestTTY=maybe", "RequestTTY=force",
		"SessionType=x", "SessionType=none", "StdinNull=x", "ForkAfterAuthentication=x", "StreamLocalBindMask=999", "StreamLocalBindMask=0177", "StreamLocalBindMask=1777",
		"StreamLocalBindUnlink=x", "EscapeChar=ab", "EscapeChar=^[", "EscapeChar=none", "EscapeChar=~", "EnableSSHKeysign=x", "ClearAllForwardings=x",
		"ForwardX11Trusted=x", "HashKnownHosts=x", "CheckHostIP=x", "CheckHostIP=YES", "NoHostAuthenticationForLocalhost=x", "CanonicalizeFallbackLocal=x",
		"GSSAPIDelegateCredentials=x", "PermitLocalCommand=x", "PubkeyAuthentication=unbound", "PubkeyAuthentication=x", "EnableEscapeCommandline=x",
		"BatchMode=", "AddressFamily=x", "AddressFamily=inet6", "Tunnel=x", "VerifyHostKeyDNS=x", "HostbasedAuthentication=x",
	}
	for _, keyword := range []string{"KexAlgorithms", "Ciphers", "MACs", "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms", "CASignatureAlgorithms"} {
		for _, list := range []string{"nosuch", "+nosuch", "^nosuch", "-nosuch", "+x*", "-x*"} {
			options = append(options, keyword+"="+list)
		}
		kind := map[string]string{"KexAlgorithms": "kex", "Ciphers": "cipher", "MACs": "mac", "HostKeyAlgorithms": "HostKeyAlgorithms",
			"PubkeyAcceptedAlgorithms": "PubkeyAcceptedAlgorithms", "CASignatureAlgorithms": "sig"}[keyword]
		names, err := exec.Command("ssh", "-Q", kind).Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(string(names)) {
			options = append(options, keyword+"=+"+name, keyword+"=^"+name+",nosuch", keyword+"=-"+name)
		}
	}
	for _, option := range options {
		ssh := exec.Command("ssh", "-G", "-F", "none", "-o", option, "--", "host")
		said, err := ssh.CombinedOutput()
		if ours := CheckOptions([]string{option}); (ours == nil) != (err == nil) {
			t.Errorf("%s: error %v, and ssh says %q", option, ours, strings.TrimSpace(strings.SplitN(string(said), "\n", 2)[0]))
		}
	}
}

// In a file such a value is for the ssh program to judge, and an error where there is none.
func TestValuesInFilesThatSSHRefuses(t *testing.T) {
	for _, program := range []string{"", "ssh"} {
		for _, config := range []string{"Compression maybe\n", "Host other\nLogLevel LOUD\n", "ConnectionAttempts 0\n", "Port 0\n"} {
			if _, err := resolveWith(t, Login{Host: "web"}, config, program); err == nil {
				t.Errorf("by %q: %q was taken, want an error", program, config)
			}
		}
		if _, err := resolveWith(t, Login{Host: "web"}, "LogLevel quiet\nCompression yes\nIPQoS af21 cs1\nFingerprintHash md5\n", program); err != nil {
			t.Errorf("by %q: %v, want no error", program, err)
		}
	}
}

//go:build unix

package fakessh_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/fakessh"
)

// echoServer answers each connection with what it reads, and returns its port.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// freePort returns a port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// talk has a shell send something to a port and show so many bytes of the
// answer.
const talk = `
talk() { exec 3<>/dev/tcp/${at:-127.0.0.1}/$1; printf "$2" >&3; head -c "$3" <&3 | od -An -v -tx1 | tr -d ' \n'; exec 3>&-; echo; }
`

func TestForwards(t *testing.T) {
	runtimeDir(t)
	hosts := fakessh.Hosts{Default: child(t)}
	port, closed := echoServer(t), freePort(t)
	socks := `\5\1\0\5\1\0\1\177\0\0\1` + octal(t, port) + `hi\n`
	refused := `\5\1\0\5\1\0\3\011127.0.0.1` + octal(t, closed)
	// Behind it there is the address that was dialled from.
	const said, accepted = "68690a\n", "0500050000017f000001"
	for _, c := range []struct {
		name, script string
		want         outcome
	}{
		{"standard input and output", `printf 'a\nb\n' | ssh -W 127.0.0.1:$1 h`, outcome{"a\nb\n", "", 0}},
		{"a refusal", `ssh -W 127.0.0.1:` + closed + ` h 2>&1 | grep -c 'connection refused'`, outcome{"1\n", "", 0}},
		{"local", `ssh -f -N -L $2:127.0.0.1:$1 h; talk $2 'hi\n' 3`, outcome{said, "", 0}},
		{"remote", `ssh -f -N -R $2:127.0.0.1:$1 h; talk $2 'hi\n' 3`, outcome{said, "", 0}},
		{"dynamic", `ssh -f -N -D $2 h; talk $2 '` + socks + `' 15 | sed 's/....\(......\)$/\1/'`, outcome{accepted + said, "", 0}},
		{"remote and dynamic", `ssh -f -N -R $2 h; talk $2 '` + socks + `' 15 | sed 's/....\(......\)$/\1/'`, outcome{accepted + said, "", 0}},
		{"a refusal by SOCKS", `ssh -f -N -D $2 h; talk $2 '` + refused + `' 4`, outcome{"05000505\n", "", 0}},
		{"a client that speaks no SOCKS", `ssh -f -N -D $2 h; talk $2 'GET /%080d' 4`, outcome{"\n", "", 0}},
		{"along with a command", `ssh -L $2:127.0.0.1:$1 h "bash -c 'exec 3<>/dev/tcp/127.0.0.1/$2; echo x >&3; head -n 1 <&3'"`, outcome{"x\n", "", 0}},
		{"SOCKS 4", `ssh -f -N -D $2 h; talk $2 '\4\1` + octal(t, port) + `\177\0\0\1me\0hi\n' 11`, outcome{"005a000000000000" + said, "", 0}},
		{"SOCKS 4a", `ssh -f -N -R $2 h; talk $2 '\4\1` + octal(t, port) + `\0\0\0\1\0localhost\0hi\n' 11`, outcome{"005a000000000000" + said, "", 0}},
		{"both families", `ssh -f -N -L $2:127.0.0.1:$1 h; at=::1; talk $2 'hi\n' 3; at=127.0.0.1; talk $2 'hi\n' 3`, outcome{said + said, "", 0}},
		{"both families by name", `ssh -f -N -L localhost:$2:127.0.0.1:$1 h; at=::1; talk $2 'hi\n' 3; at=127.0.0.1; talk $2 'hi\n' 3`, outcome{said + said, "", 0}},
		{"both families there", `ssh -f -N -R $2:127.0.0.1:$1 h; at=::1; talk $2 'hi\n' 3; at=127.0.0.1; talk $2 'hi\n' 3`, outcome{said + said, "", 0}},
		{"both families and SOCKS", `ssh -f -N -D $2 h; at=::1; talk $2 '` + socks + `' 15 | sed 's/....\(......\)$/\1/'`, outcome{accepted + said, "", 0}},
		{"one of them", `ssh -6 -f -N -L $2:127.0.0.1:$1 h; at=::1; talk $2 'hi\n' 3; (exec 3<>/dev/tcp/127.0.0.1/$2) 2>/dev/null; echo $?`, outcome{said + "1\n", "", 0}},
		{"all addresses", `ssh -g -f -N -L $2:127.0.0.1:$1 h; at=::1; talk $2 'hi\n' 3; at=127.0.0.2; talk $2 'hi\n' 3`, outcome{said + said, "", 0}},
		{"all addresses there", `ssh -f -N -R "*:$2:127.0.0.1:$1" h; at=::1; talk $2 'hi\n' 3; at=127.0.0.2; talk $2 'hi\n' 3`, outcome{said + said, "", 0}},
		{"a port that is taken", `ssh -f -N -L $2:127.0.0.1:$1 h; ssh -oExitOnForwardFailure=yes -N -L $2:h:1 h 2>&1 | tr -d '\r' | sed "s/$2/N/"`,
			outcome{"bind [127.0.0.1]:N: Address already in use\nchannel_setup_fwd_listener_tcpip: cannot listen to port: N\nCould not request local forwarding.\n", "", 0}},
		{"a port that is taken there", `ssh -f -N -R $2:127.0.0.1:$1 h; ssh -oExitOnForwardFailure=yes -N -R $2:h:1 h 2>&1 | tr -d '\r' | sed "s/$2$/N/" | tail -n 1`,
			outcome{"Error: remote port forwarding failed for listen port N\n", "", 0}},
		{"a port that is taken in one family", `ssh -f -oExitOnForwardFailure=yes -N -L $1:127.0.0.1:$1 h 2>&1 | tr -d '\r' | sed "s/:$1:/:N:/"; at=::1; talk $1 'hi\n' 3`,
			outcome{"bind [127.0.0.1]:N: Address already in use\n" + said, "", 0}},
		{"a port that is allocated", `ssh -f -N -R 0:localhost:22 -R 0 -R 0:/tmp/x h 2>&1 | tr -d '\r' | sed 's/port [0-9]*/port N/'`,
			outcome{"Allocated port N for remote forward to localhost:22\nAllocated port N for remote forward to socks:0\nAllocated port N for remote forward to /tmp/x:-2\n", "", 0}},
		{"modes of sockets", `cd $3; umask 0; ssh -f -N -L $3/l:127.0.0.1:$1 -R $3/r:127.0.0.1:$1 h; ssh -oStreamLocalBindMask=0117 -f -N -L ./l2:127.0.0.1:$1 -R $3/r2:127.0.0.1:$1 h; stat -c '%n %a' *`,
			outcome{"l 600\nl2 660\nr 600\nr2 660\n", "", 0}},
		{"sockets that stand in the way", `cd $3; ssh -f -N -L $3/l:127.0.0.1:1 -R $3/r:127.0.0.1:1 h; ssh -q -f -oExitOnForwardFailure=yes -N -L $3/l:h:1 h 2>&1; echo $?; ssh -q -f -oExitOnForwardFailure=yes -N -R $3/r:h:1 h 2>&1; echo $?
			ssh -f -oStreamLocalBindUnlink=yes -N -L $3/l:127.0.0.1:$1 -R $3/r:127.0.0.1:$1 h
			for s in l r; do python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b"hi"); print(s.recv(9))' $s; done`,
			outcome{"255\n255\nb'hi'\nb'hi'\n", "", 0}},
		{"a file that stands in the way", `cd $3; echo x >l; ssh -f -oStreamLocalBindUnlink=yes -oExitOnForwardFailure=yes -N -L $3/l:127.0.0.1:1 h; echo $?; cat l`,
			outcome{"255\nx\n", "unix_listener: cannot bind to path DIR/l: Address already in use\r\nCould not request local forwarding.\r\n", 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			got := doIn(t, "bash", hosts, talk+c.script, port, freePort(t), dir)
			if got.err = strings.ReplaceAll(got.err, dir, "DIR"); got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
}

// octal is how printf is told the two bytes of a port.
func octal(t *testing.T, port string) string {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`\%03o\%03o`, n>>8, n&0xff)
}

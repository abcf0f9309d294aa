//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

const databaseDir = "/home/deploy/database"

// database starts PostgreSQL on a host. It listens only on the loopback interface and on a
// socket.
func database(t *testing.T, host *lab.Running) {
	t.Helper()
	found, _ := filepath.Glob(lab.PostgreSQL)
	if len(found) == 0 {
		t.Fatalf("no file is %s, want PostgreSQL installed", lab.PostgreSQL)
	}
	bin := filepath.Dir(found[0])
	if out, err := host.ExecAs(t.Context(), "deploy", bin+"/initdb", "-D", databaseDir, "-A", "trust", "-U", "deploy", "--no-sync"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := host.CommandAs(context.Background(), "deploy", found[0], "-D", databaseDir, "-k", databaseDir, "-h", "127.0.0.1", "-F")
	var said journal
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	eventually(t, patience, "the database is ready", func() bool {
		return strings.Contains(said.String(), "ready to accept connections")
	})
}

// query connects to a database through a context, with the ordinary driver.
func query(ctx context.Context, n *contexts.Node, server string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("user=deploy dbname=postgres sslmode=disable " + server)
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = n.DialContext
	// The context resolves names, as its host does.
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	return pgx.ConnectConfig(ctx, cfg)
}

func TestADatabaseThroughAContext(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	database(t, host)
	// The database is on the host of the second hop.
	n := child(t, login(t, master(t, nil), host, "deploy", key), local.Child{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	for _, server := range []string{"host=localhost port=5432", "host=" + databaseDir + " port=5432"} {
		db, err := query(ctx, n, server)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 100_000
		if _, err := db.Exec(ctx, "create temp table numbers (n int, text text)"); err != nil {
			t.Fatal(err)
		}
		i := 0
		in, err := db.CopyFrom(ctx, pgx.Identifier{"numbers"}, []string{"n", "text"}, pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i > rows {
				return nil, nil
			}
			return []any{i, strings.Repeat("mitosis ", 20)}, nil
		}))
		if err != nil || in != rows {
			t.Fatalf("%d rows were copied in, error %v, want %d", in, err, rows)
		}
		var sum int64
		var out int
		all, err := db.Query(ctx, "select n, text from numbers")
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		var text string
		if _, err = pgx.ForEachRow(all, []any{&n, &text}, func() error {
			sum, out = sum+n, out+1
			return nil
		}); err != nil || out != rows || sum != rows*(rows+1)/2 {
			t.Fatalf("%d rows with the sum %d were read, error %v, want %d with %d", out, sum, err, rows, rows*(rows+1)/2)
		}
		// The driver cancels a query by a deadline of its connection.
		brief, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		_, err = db.Exec(brief, "select pg_sleep(60)")
		stop()
		if !errors.Is(err, context.DeadlineExceeded) || !pgconn.Timeout(err) {
			t.Errorf("a query that takes too long ended with %v, want %v", err, context.DeadlineExceeded)
		}
		_ = db.Close(ctx)
	}

	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			db, err := query(ctx, n, "host=127.0.0.1 port=5432")
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close(ctx)
			for j := range 50 {
				var got int
				if err := db.QueryRow(ctx, "select $1::int * $2::int", i, j).Scan(&got); err != nil || got != i*j {
					t.Errorf("%d x %d is %d, error %v, want %d", i, j, got, err, i*j)
					return
				}
			}
		})
	}
	clients.Wait()

	if _, err := query(ctx, n, "host=127.0.0.1 port=5433"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to a port without a database: error %v, want %v", err, syscall.ECONNREFUSED)
	}
	db, err := query(ctx, n, "host=127.0.0.1 port=5432")
	if err != nil {
		t.Fatal(err)
	}
	asleep := make(chan error, 1)
	go func() {
		_, err := db.Exec(ctx, "select pg_sleep(60)")
		asleep <- err
	}()
	other, err := query(ctx, n, "host=127.0.0.1 port=5432")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the query runs", func() bool {
		var running int
		err := other.QueryRow(ctx, "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'").Scan(&running)
		return err == nil && running == 1
	})
	kill(t, host, syscall.SIGKILL, workers(host)...)
	if err := <-asleep; err == nil || ctx.Err() != nil {
		t.Errorf("a query whose hop was killed ended with %v (the ctx with %v), want an error at once", err, ctx.Err()) // the driver does not return the cause
	}
	if _, err := query(ctx, n, "host=127.0.0.1 port=5432"); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a connection through a hop that was killed: error %v, want %v", err, contexts.ErrGone)
	}
}

func TestAServerInTheMasterIsReachedFromAHost(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	before := look(host)
	n := login(t, master(t, nil), host, "deploy", key)
	const port, socket = "127.0.0.1:8080", "/home/deploy/socket"
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from the master to %s", r.URL.Path, strings.Split(r.RemoteAddr, ":")[0])
	})}
	served := make(chan error, 2)
	for network, addr := range map[string]string{"tcp": port, "unix": socket} {
		ln, err := n.Listen(t.Context(), network, addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() { served <- server.Serve(ln) }()
	}
	const fetch = "import urllib.request as u; print(u.urlopen('http://" + port + "/hello').read().decode())"
	out, err := host.ExecAs(t.Context(), "deploy", "/usr/bin/python3", "-c", fetch)
	if err != nil || strings.TrimSpace(out) != "/hello from the master to 127.0.0.1" {
		t.Errorf("the client at the host got %q, %v, want the master's hello", out, err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return n.DialContext(ctx, "unix", socket)
	}}}
	r, err := client.Get("http://there/and-back")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	client.CloseIdleConnections()
	if err != nil || !strings.HasPrefix(string(body), "/and-back from the master") {
		t.Errorf("the client got %q, %v, want the answer of the master", body, err)
	}

	// A context that loses its link ends by itself. On the host that is the same as the end
	// of the master: neither port nor socket stays.
	kill(t, host, syscall.SIGKILL, sessions(host)...)
	for range 2 {
		if err := <-served; !errors.Is(err, contexts.ErrGone) {
			t.Errorf("the server ended with %v, want %v", err, contexts.ErrGone)
		}
	}
	before.restored(t, deathBudget)
	if _, err := host.Dial(t.Context(), "tcp", port); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling the port after the loss: error %v, want %v", err, syscall.ECONNREFUSED)
	}
}

// sessions returns the processes of sshd that serve a login.
func sessions(host *lab.Running) (pids []int) {
	for _, p := range host.Processes() {
		if len(p.Cmdline) > 0 && strings.HasPrefix(p.Cmdline[0], "sshd: deploy") {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

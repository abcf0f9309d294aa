//go:build unix

package ssh

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// A configuration that somebody else can write is refused, as by ssh, with an ssh program and
// without one: it may name commands. This goes for the user's file and for all included files, but
// neither for the system's file nor for one that is named.
func TestSSHConfigurationOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, c := range []struct {
		name    string
		file    string // "user", "included", "system" or "named"
		mode    os.FileMode
		owner   int
		refused bool
	}{
		{"ours", "user", 0o644, 0, false},
		{"all may write", "user", 0o666, 0, true},
		{"another owner", "user", 0o600, 1234, true},
		{"another owner, no right", "user", 0o400, 1234, true},
		{"included, all may write", "included", 0o602, 0, true},
		{"included, another owner", "included", 0o600, 1234, true},
		{"included by the system, all may write", "included by the system", 0o602, 0, true},
		{"the system's, all may write", "system", 0o666, 0, false},
		{"named, all may write", "named", 0o666, 0, false},
	} {
		programs := []string{""}
		if c.file == "included" || c.file == "named" {
			programs = append(programs, "ssh") // which takes the other files from places that are not the test's
		}
		for _, program := range programs {
			// The second one has no setting for this host, so that no program would be asked.
			for _, text := range []string{"ProxyCommand evil\nPort 4711\n", "Host other\nPort 4711\n"} {
				t.Run(c.name+", "+program, func(t *testing.T) {
					places := testPlaces(t)
					places.Program = program
					os.Mkdir(filepath.Join(places.Home, ".ssh"), 0o700)
					method := Login{Host: "web"}
					path := places.InHome("config")
					switch c.file {
					case "included":
						path = filepath.Join(t.TempDir(), "inc")
						connecttest.WriteFile(t, places.InHome("config"), "Include "+path+"\n", 0o600)
						method.ConfigFile = places.InHome("config")
					case "included by the system":
						path = filepath.Join(t.TempDir(), "inc")
						connecttest.WriteFile(t, places.SystemConfig, "Include "+path+"\n", 0o644)
					case "system":
						path = places.SystemConfig
					case "named":
						path = filepath.Join(t.TempDir(), "named")
						method.ConfigFile = path
					}
					connecttest.WriteFile(t, path, text, 0o600)
					if err := errors.Join(os.Chmod(path, c.mode), os.Chown(path, c.owner, -1)); err != nil {
						t.Fatal(err)
					}
					_, err := method.resolve(connecttest.TestContext(t), places)
					if refused := err != nil && strings.Contains(strings.ToLower(err.Error()), "bad owner or permissions on "+strings.ToLower(path)); refused != c.refused {
						t.Errorf("error %v, want a refusal of %s: %v", err, path, c.refused)
					}
					if c.refused && program == "" && !errors.Is(err, connect.ErrStart) {
						t.Errorf("error %v, want the class %q", err, connect.ErrStart)
					}
				})
			}
		}
	}
}

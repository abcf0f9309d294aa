//go:build linux

package all_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/console"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/core"
)

func TestMethodsTravel(t *testing.T) {
	methods := []connect.Method{
		become.Sudo{User: "app", Password: "pw", Login: true},
		local.Exec{Argv: []string{"nsenter", "-t", "1"}, Shell: true},
		console.Login{Device: "/dev/ttyS0", Baud: 9600, RTSCTS: true, User: "app", Password: "pw", Boot: true, Silence: 1},
		openssh.Login{Host: "web1", IdentityFiles: []string{"k"}, Options: []string{"Port=2"}},
	}
	for _, c := range dryRuns {
		if _, own := c.m.(tellsItself); !own {
			methods = append(methods, c.m)
		}
	}
	for _, m := range methods {
		b, err := connect.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := connect.Decode(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%#v came back as %#v, %v", m, got, err)
		}
	}
	type unknown struct{ local.Child }
	if _, err := connect.Encode(unknown{}); err == nil {
		t.Error("a type that is not registered was encoded")
	}
	for _, bad := range [][]byte{nil, {0xf6}, {0x82, 0x61, 'x', 0x40}} {
		if m, err := connect.Decode(bad); err == nil {
			t.Errorf("%x was decoded as %#v", bad, m)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	s := become.Sudo{Password: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s.Password, "method", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s.Password)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s.Password, s.Password, s.Password, s.Password), log.String(), s.Label(),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74") {
			t.Errorf("the secret shows: %s", text)
		}
	}
}

func TestErrorClassesSurviveAHop(t *testing.T) {
	for _, class := range []error{connect.ErrPassword, connect.ErrHostKeyChanged, connect.ErrHostKeyUnknown, connect.ErrPermission, connect.ErrRefused} {
		err := core.DecodeError(core.EncodeError(&connect.Error{Hop: "sudo:root", Err: fmt.Errorf("%w: more", class), Output: "Sorry"}))
		if !errors.Is(err, class) || !strings.Contains(err.Error(), "Sorry") {
			t.Errorf("%v arrived as %v", class, err)
		}
	}
	if err := core.DecodeError(core.EncodeError(connect.ErrHostKeyChanged)); !errors.Is(err, connect.ErrHostKey) || errors.Is(err, connect.ErrHostKeyUnknown) {
		t.Errorf("a changed key arrived as %v", err)
	}
}

//go:build unix && !(linux && (amd64 || arm64))

package guard

import "errors"

func (w *worker) sleep() error { return errors.ErrUnsupported }

func awake([]string) (*worker, bool) { return nil, false }

func tryMemfd() {}

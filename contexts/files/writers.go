package files

import "sync"

// smallWriters is how many small files are written at once.
const smallWriters = 4

// jobsAhead is how many wait for one of them. Each may hold a directory open,
// and there may be few descriptors.
const jobsAhead = 16

// writers runs jobs in a few goroutines and keeps the first error.
type writers struct {
	jobs chan func() error // capacity jobsAhead; closed by wait
	wg   sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu
}

func (w *writers) do(job func() error) {
	if w.jobs == nil {
		jobs := make(chan func() error, jobsAhead)
		w.jobs = jobs
		for range smallWriters {
			w.wg.Go(func() { w.run(jobs) })
		}
	}
	w.jobs <- job
}

func (w *writers) run(jobs <-chan func() error) {
	for job := range jobs {
		if err := job(); err != nil {
			w.mu.Lock()
			if w.err == nil {
				w.err = err
			}
			w.mu.Unlock()
		}
	}
}

func (w *writers) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// wait waits for all jobs, and returns the first error.
func (w *writers) wait() error {
	if w.jobs != nil {
		close(w.jobs)
		w.jobs = nil
		w.wg.Wait()
	}
	return w.failed()
}

package files

import "sync"

const (
	// smallWriters is how many small files are written at once.
	smallWriters = 4
	// jobsTogether is how many jobs are handed over at once. Waking a goroutine
	// for each costs as much as the job.
	jobsTogether = 8
)

// writers runs jobs in a few goroutines and keeps the first error.
type writers struct {
	// Owned by the one who calls do, flush and wait.
	batch []func() error
	jobs  chan []func() error // no capacity: jobs hold directories open; closed by wait

	wg  sync.WaitGroup
	mu  sync.Mutex
	err error // guarded by mu
}

// do has a job done some time after the next flush.
func (w *writers) do(job func() error) {
	if w.batch = append(w.batch, job); len(w.batch) == jobsTogether {
		w.flush()
	}
}

func (w *writers) flush() {
	if len(w.batch) == 0 {
		return
	}
	if w.jobs == nil {
		jobs := make(chan []func() error)
		w.jobs = jobs
		for range smallWriters {
			w.wg.Go(func() { w.run(jobs) })
		}
	}
	w.jobs <- w.batch
	w.batch = nil
}

func (w *writers) run(jobs <-chan []func() error) {
	for batch := range jobs {
		for _, job := range batch {
			if err := job(); err != nil {
				w.mu.Lock()
				if w.err == nil {
					w.err = err
				}
				w.mu.Unlock()
			}
		}
	}
}

func (w *writers) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// wait does all jobs, and returns the first error.
func (w *writers) wait() error {
	w.flush()
	if w.jobs != nil {
		close(w.jobs)
		w.jobs = nil
		w.wg.Wait()
	}
	return w.failed()
}

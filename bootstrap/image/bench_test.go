package image

import "testing"

// BenchmarkEncode prints the packed size beside the time.
func BenchmarkEncode(b *testing.B) {
	img, err := Own()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range [...]Codec{Raw, Gzip, Zstd} {
		for name, e := range map[string]effort{"fast": fast, "best": best} {
			b.Run(c.String()+"-"+name, func(b *testing.B) {
				for b.Loop() {
					data, err := img.encode(b.Context(), c, e)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(len(data))/float64(img.Size), "ratio")
				}
			})
		}
	}
}

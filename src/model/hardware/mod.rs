//! Graphics cards and what is made of them: the nouns.

mod gfx;
mod node;
mod seen;
mod used;

pub use gfx::{GfxOverride, GfxTarget};
pub use node::{DeviceNode, PciAddress, PciId, RenderDevice, RenderNode};
pub use seen::{Cdi, Gpu, Hardware, Kfd, Nvidia, NvidiaCard};
pub use used::{Acceleration, ENCODING, Encoding, Given, LEARNING, Learning, Lost};

use super::{Release, words};

words! {
    /// What computes for machine learning: a variant of its image.
    Variant {
        /// The processor.
        Cpu = "cpu",
        /// AMD's cards.
        Rocm = "rocm",
        /// Intel's.
        Openvino = "openvino",
        /// NVIDIA's.
        Cuda = "cuda",
    }
}

/// The processor is what there always is.
impl Default for Variant {
    fn default() -> Self {
        Self::Cpu
    }
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Rocm, Self::Openvino, Self::Cuda];

    /// What the tag of its image ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Rocm => "-rocm",
            Self::Openvino => "-openvino",
            Self::Cuda => "-cuda",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "the processor",
            Self::Rocm => "ROCm",
            Self::Openvino => "OpenVINO",
            Self::Cuda => "CUDA",
        }
    }

    /// What onnxruntime calls what computes in this image, beside the processor.
    pub const fn provider(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            // Since Immich 2.6.
            Self::Rocm => Some("MIGraphXExecutionProvider"),
            Self::Openvino => Some("OpenVINOExecutionProvider"),
            Self::Cuda => Some("CUDAExecutionProvider"),
        }
    }

    /// The variant that a tag of `release` names: `v3.2.2-rocm`. None where the tag is of something else.
    pub fn of_tag(tag: &str, release: &Release) -> Option<Self> {
        let rest = tag.strip_prefix(&release.to_string())?;
        Self::ALL.into_iter().find(|variant| variant.suffix() == rest)
    }
}

words! {
    /// What encodes videos.
    Encoder {
        /// AMD's and Intel's cards.
        Vaapi = "vaapi",
        /// Intel's, by Quick Sync.
        Qsv = "qsv",
        /// NVIDIA's.
        Nvenc = "nvenc",
    }
}

impl Encoder {
    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vaapi => "VAAPI",
            Self::Qsv => "Quick Sync",
            Self::Nvenc => "NVENC",
        }
    }
}

/// `[hardware] ml`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum MlChoice {
    /// What there is and is known to work.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// This, or nothing is applied.
    #[serde(untagged)]
    Only(Variant),
}

impl MlChoice {
    /// The words of the configuration.
    pub const WORDS: &'static [&'static str] = &["auto", "cpu", "rocm", "openvino", "cuda"];
}

impl std::str::FromStr for MlChoice {
    type Err = super::Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Only) }
    }
}

/// `[hardware] transcoding`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum EncoderChoice {
    /// What there is.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Nothing, and Immich's setting is left alone.
    #[serde(rename = "off")]
    Off,
    /// This, or nothing is applied.
    #[serde(untagged)]
    Only(Encoder),
}

impl EncoderChoice {
    /// The words of the configuration.
    pub const WORDS: &'static [&'static str] = &["auto", "off", "vaapi", "qsv", "nvenc"];
}

impl std::str::FromStr for EncoderChoice {
    type Err = super::Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::Only),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_variant() {
        let of = |tag: &str, release: &str| Variant::of_tag(tag, &release.parse().unwrap());
        for variant in Variant::ALL {
            for release in ["v3.2.2", "v3.3.0-rc.1"] {
                assert_eq!(of(&format!("{release}{}", variant.suffix()), release), Some(variant));
            }
        }
        for other in ["v3.2.2-armnn", "v3.2.2-cpu", "v3.2.20", "v3.2.1", "release"] {
            assert_eq!(of(other, "v3.2.2"), None, "{other}");
        }
    }

    #[test]
    fn the_words_of_the_configuration_are_read() {
        assert!(MlChoice::WORDS.iter().all(|word| word.parse::<MlChoice>().is_ok()));
        assert!(EncoderChoice::WORDS.iter().all(|word| word.parse::<EncoderChoice>().is_ok()));
        assert!("gpu".parse::<MlChoice>().is_err() && "cpu".parse::<EncoderChoice>().is_err());
        assert_eq!(serde_json::to_string(&MlChoice::Only(Variant::Rocm)).unwrap(), "\"rocm\"");
        assert_eq!(serde_json::to_string(&EncoderChoice::Off).unwrap(), "\"off\"");
    }
}

//! Options of icloudpd that are one word of a few, by icloudpd's own words.

use serde::{Deserialize, Serialize};

/// An enum whose variants are words, in the configuration, in icloudpd's arguments and in records.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// All of its words.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::Invalid;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::model::Invalid::new(format!("expected one of: {}", Self::WORDS.join(", ")))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Apple's service: for all the world, or for mainland China.
    Domain { World = "com", China = "cn" }
}

words! {
    /// Which versions of a picture are downloaded.
    PhotoSize {
        Original = "original",
        Medium = "medium",
        Thumb = "thumb",
        /// As edited on a device.
        Adjusted = "adjusted",
        /// The other of a RAW and JPEG pair.
        Alternative = "alternative",
    }
}

words! {
    /// Which version of the video of a live photo is downloaded.
    LivePhotoSize { Original = "original", Medium = "medium", Thumb = "thumb" }
}

words! {
    /// How the video of a live photo is named.
    MovFilenamePolicy {
        /// `IMG_1_HEVC.MOV` beside `IMG_1.HEIC`.
        Suffix = "suffix",
        /// `IMG_1.MOV`.
        Original = "original",
    }
}

words! {
    /// Which of a RAW and JPEG pair counts as the original.
    AlignRaw { AsIs = "as-is", Original = "original", Alternative = "alternative" }
}

words! {
    /// How icloudpd tells whether it has a picture already.
    FileMatchPolicy {
        /// By name and size; another picture of the name gets its size behind it.
        NameSize = "name-size-dedup-with-suffix",
        /// By a name that holds a part of the picture's number at Apple.
        NameId = "name-id7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_and_nothing_else_is() {
        for word in FileMatchPolicy::WORDS {
            assert_eq!(word.parse::<FileMatchPolicy>().unwrap().as_str(), *word);
            assert_eq!(serde_json::to_value(word.parse::<FileMatchPolicy>().unwrap()).unwrap(), *word);
        }
        assert_eq!("as-is".parse::<AlignRaw>(), Ok(AlignRaw::AsIs));
        for bad in ["", "Original", "original ", "as is", "com\n"] {
            assert!(bad.parse::<PhotoSize>().is_err() && bad.parse::<Domain>().is_err(), "{bad:?}");
        }
        let refused = "usa".parse::<Domain>().unwrap_err();
        assert_eq!(refused.to_string(), "expected one of: com, cn");
    }
}
